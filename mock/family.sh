#!/bin/sh
# A tree of all kinds of kin, each sleeping a hundred seconds:  family.sh FILE
# FILE gets a pid a line: itself, a child, a child in a session of its own, and
# an orphan of a double fork. Prints `ready` when all are there.
exec 3>"$1"
echo $$ >&3
sleep 100 3>&- &
echo $! >&3
setsid sh -c 'echo $$ >&3; exec sleep 100 3>&-' &
(sh -c 'echo $$ >&3; exec sleep 100 3>&-' &)
until test "$(wc -l <"$1")" = 4; do :; done
echo ready
exec sleep 100 3>&-
