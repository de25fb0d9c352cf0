#!/bin/sh
# The interface of the official image: options or a configuration file alone are passed to the server; as root, it
# changes the owner of the data and runs as `redis`; protected mode is off, because the network is the pod's.
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
		# The file has precedence over the image's default.
		file=$1
		shift
		if grep -qs '^[[:space:]]*protected-mode' "$file"; then
			set -- redis-server "$file" "$@"
		else
			set -- redis-server "$file" --protected-mode no "$@"
		fi
		;;
	esac
	# Dumps are private unless the caller sets another umask.
	[ "$(umask)" != 0022 ] || umask 0077
fi

exec "$@"
