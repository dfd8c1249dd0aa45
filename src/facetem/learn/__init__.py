"""The shape classifier and the contrast restorer: networks, training, predictions."""
