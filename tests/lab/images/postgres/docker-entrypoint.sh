#!/bin/bash
# The interface of the official image: POSTGRES_USER, _PASSWORD, _DB (and _FILE of each), _INITDB_ARGS,
# _INITDB_WALDIR and _HOST_AUTH_METHOD; an empty PGDATA is initialised, then /docker-entrypoint-initdb.d is run;
# arguments that start with `-` are passed to the server; as root, it changes the owner of the data and runs as `postgres`.
set -Eeuo pipefail

fail() {
	printf >&2 'Error: %s\n' "$@"
	exit 1
}

# file_env NAME DEFAULT: sets NAME from NAME, the file NAME_FILE, or the default.
file_env() {
	local name=$1 default=${2-} file_name="$1_FILE"
	if [ -n "${!name-}" ] && [ -n "${!file_name-}" ]; then
		fail "both $name and $file_name are set (but are exclusive)"
	fi
	if [ -n "${!file_name-}" ]; then
		export "$name=$(<"${!file_name}")"
	else
		export "$name=${!name-$default}"
	fi
	unset "$file_name"
}

# Creates the folders; as root, changes their owner to `postgres`.
make_folders() {
	mkdir -p "$PGDATA"
	chmod 00700 "$PGDATA" || :
	# Without the socket folder, only local connections fail.
	mkdir -p /var/run/postgresql || :
	chmod 03775 /var/run/postgresql 2>/dev/null || :
	if [ -n "${POSTGRES_INITDB_WALDIR-}" ]; then
		mkdir -p "$POSTGRES_INITDB_WALDIR"
		chmod 700 "$POSTGRES_INITDB_WALDIR"
	fi
	if [ "$(id -u)" = 0 ]; then
		find "$PGDATA" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} ! -user postgres -exec chown postgres:postgres {} +
		find /var/run/postgresql ! -user postgres -exec chown postgres:postgres {} + || :
	fi
}

check_environment() {
	if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
		fail 'Database is uninitialized and superuser password is not specified.' \
			'You must specify POSTGRES_PASSWORD to a non-empty value for the superuser,' \
			'or POSTGRES_HOST_AUTH_METHOD=trust to allow all connections without a password.'
	fi
	# From 18 on, the volume is mounted one folder higher: refuse to start beside data in the old layout.
	if [ "$PG_MAJOR" -ge 18 ] && [ "$PGDATA" != /var/lib/postgresql/data ] \
		&& [ -n "$(ls -A /var/lib/postgresql/data 2>/dev/null)" ]; then
		fail "there is data in /var/lib/postgresql/data, where images before 18 kept it: mount the volume at" \
			'/var/lib/postgresql and move the data with pg_upgrade'
	fi
}

initialise() {
	# initdb needs a name for its user id, which the cluster may choose.
	local wrapper
	if ! getent passwd "$(id -u)" >/dev/null; then
		for wrapper in /usr/lib/*/libnss_wrapper.so; do
			NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
			export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
			echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$NSS_WRAPPER_PASSWD"
			echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
		done
	fi
	local wal=()
	[ -z "${POSTGRES_INITDB_WALDIR-}" ] || wal=(--waldir "$POSTGRES_INITDB_WALDIR")
	# The arguments are one string, which the shell splits, as upstream does.
	eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") --set unix_socket_directories=/var/run/postgresql "${wal[@]}" '"${POSTGRES_INITDB_ARGS-}"
	if [ -n "${NSS_WRAPPER_PASSWD-}" ]; then
		rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
		unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
	fi
	local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}
	printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# Listens on the socket only, so that no client sees an incomplete database.
start_for_setup() {
	[ "${1-}" != postgres ] || shift
	PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -w start \
		-o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
}

run_sql() {
	PGHOSTADDR='' PGPASSWORD=$POSTGRES_PASSWORD psql -v ON_ERROR_STOP=1 --no-psqlrc \
		--username "$POSTGRES_USER" --no-password "$@"
}

create_database() {
	local exists
	exists=$(run_sql --dbname postgres --set db="$POSTGRES_DB" --tuples-only <<<"SELECT 1 FROM pg_database WHERE datname = :'db'")
	[ -n "$exists" ] || run_sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
}

run_init_files() {
	local file
	for file in /docker-entrypoint-initdb.d/*; do
		case "$file" in
		*.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
		*.sql) run_sql --dbname "$POSTGRES_DB" -f "$file" ;;
		*.sql.gz) gunzip -c "$file" | run_sql --dbname "$POSTGRES_DB" ;;
		*.sql.xz) xzcat "$file" | run_sql --dbname "$POSTGRES_DB" ;;
		'/docker-entrypoint-initdb.d/*') ;;
		*) echo "$0: ignoring $file" ;;
		esac
	done
}

wants_only_information() {
	local argument
	for argument in "$@"; do
		case "$argument" in
		-'?' | --help | --describe-config | -V | --version | -C) return 0 ;;
		esac
	done
	return 1
}

main() {
	[ "${1#-}" = "$1" ] || set -- postgres "$@"
	if [ "$1" != postgres ] || wants_only_information "$@"; then
		exec "$@"
	fi

	make_folders
	[ "$(id -u)" != 0 ] || exec gosu postgres "${BASH_SOURCE[0]}" "$@"

	if [ -s "$PGDATA/PG_VERSION" ]; then
		echo 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
		exec "$@"
	fi
	file_env POSTGRES_PASSWORD
	file_env POSTGRES_USER postgres
	file_env POSTGRES_DB "$POSTGRES_USER"
	file_env POSTGRES_INITDB_ARGS
	: "${POSTGRES_HOST_AUTH_METHOD:=}"
	check_environment
	initialise
	start_for_setup "$@"
	create_database
	run_init_files
	PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
	echo 'PostgreSQL init process complete; ready for start up.'
	exec "$@"
}

main "$@"
