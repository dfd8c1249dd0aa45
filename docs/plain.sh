# The kernel of a notebook asks for colours and moving bars, which a page cannot show.
unset FORCE_COLOR CLICOLOR_FORCE
export TERM=dumb NO_COLOR=1
