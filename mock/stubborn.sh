#!/bin/sh
# Ignores SIGTERM, and so does its child:  stubborn.sh FILE
# FILE gets both pids, a line each. Prints `ready` when both ignore it.
trap '' TERM
echo $$ >"$1"
sh -c 'echo $$ >>"$0"; exec sleep 100' "$1" &
until test "$(wc -l <"$1")" = 2; do :; done
echo ready
wait
