# Read by run.sh and the scripts of hey: parameters from the environment, with
# defaults and bounds. What is wrong is collected; checked() ends with all of it.

problems=

# whole NAME DEFAULT LEAST MOST: a whole number between bounds, both included.
whole() {
    eval "value=\${$1:-$2}"
    case $value in
    *[!0-9]* | ??????????*) good= ;;
    *) good=$([ "$value" -ge "$3" ] && [ "$value" -le "$4" ] && echo yes || true) ;;
    esac
    if [ -z "$good" ]; then
        problems="$problems
$1 must be a whole number from $3 to $4, not \"$value\""
        value=$2
    fi
    eval "$1=\$value"
}

# fitting NAME DEFAULT PATTERN WHAT: a text that an extended regular expression
# matches as a whole.
fitting() {
    eval "value=\${$1:-$2}"
    if ! printf '%s' "$value" | grep -Eqx -e "$3" || [ "$(printf '%s' "$value" | wc -l)" -ne 0 ]; then
        problems="$problems
$1 must be $4, not \"$value\""
        value=$2
    fi
    eval "$1=\$value"
}

# Ends the script if anything was wrong.
checked() {
    if [ -n "$problems" ]; then
        printf '%s: wrong parameters:%s\n' "$(basename "$0")" "$problems" >&2
        exit 64
    fi
}
