# Bash completion for cellule. Verbs and options are read from the program's own --help, so they are always its own.

_cellule() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local program=${COMP_WORDS[0]} help word
    local verbs=()

    # The words before the cursor that are verbs: each one's help lists the next.
    help=$("$program" --help 2>/dev/null) || return
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word =~ ^[a-z][a-z-]*$ && $help == *$'\n'"  $word "* && $help == *" VERB "* ]] || break
        verbs+=("$word")
        help=$("$program" "${verbs[@]}" --help 2>/dev/null) || return
    done

    if [[ $current != -* ]]; then
        case $previous in
        --site | --state) mapfile -t COMPREPLY < <(compgen -d -- "$current") && return ;;
        --*) # an option with a value, unless its help line shows none
            if [[ $help =~ $'\n'"  $previous "[^[:space:]] ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
                return
            fi
            ;;
        esac
    fi

    local offered
    if [[ $current == -* ]]; then
        offered=$(sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' <<<"$help")
    elif [[ $help == *" VERB "* ]]; then
        offered=$(sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' <<<"$help")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
}

complete -o filenames -F _cellule cellule
