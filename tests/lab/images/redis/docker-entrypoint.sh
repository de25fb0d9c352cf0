#!/bin/sh
# What the official image promises: options or a configuration file alone are for the server; as root, the data
# is given to `redis` and root is laid down; and there is no protected mode, since the network is the pod's.
set -eu

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	find . ! -user redis -exec chown redis:redis {} +
	exec gosu redis "$0" "$@"
fi

if [ "$1" = redis-server ]; then
	shift
	case "${1-}" in
	'' | -*) set -- redis-server --protected-mode no "$@" ;;
	*)
		# What the file says goes before what the image says.
		file=$1
		shift
		if grep -qs '^[[:space:]]*protected-mode' "$file"; then
			set -- redis-server "$file" "$@"
		else
			set -- redis-server "$file" --protected-mode no "$@"
		fi
		;;
	esac
	# Dumps are nobody else's business; a stricter or looser umask of the caller's stays.
	[ "$(umask)" != 0022 ] || umask 0077
fi

exec "$@"
