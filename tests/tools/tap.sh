# tap.sh: TAP for the shell tests of the tools; each sources it.
#
#   ok NAME COMMAND...      passes if the command succeeds
#   matches NAME REGEX      passes if a line of $log matches
#   finish                  prints the plan; the status says whether all passed
# $scratch is a directory that is removed at the end.
tap_number=0
tap_failed=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/grove-test.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM HUP
log=''

ok() {
    local name=$1
    shift
    tap_number=$((tap_number + 1))
    if "$@"; then
        echo "ok $tap_number - $name"
        return
    fi
    tap_failed=1
    echo "not ok $tap_number - $name"
    echo "# $0, line ${BASH_LINENO[-2]}: failed: $*"
    printf '%s\n' "$log" | tail -n 20 | sed 's/^/#   /'
    echo "# repeat: make test T=$(basename "$0" .t)"
}

matches() {
    ok "$1" grep -qE -- "$2" <<<"$log"
}

finish() {
    echo "1..$tap_number"
    exit $tap_failed
}
