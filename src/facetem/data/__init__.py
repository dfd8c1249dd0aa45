"""What is drawn (recipes), where it is kept (stores), and what is read (micrographs)."""
