# Completion of otpctl for bash. Now: source <(otpctl completion bash)
# For every shell: otpctl completion bash > ~/.local/share/bash-completion/completions/otpctl
_otpctl() {
    # The program itself knows what may come next: the line as it would be under its own name, and the place of the cursor in it.
    local IFS=$'\n' program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]}
    local line="otpctl${COMP_LINE#"$program"}" point=$((COMP_POINT - ${#program} + 6))
    COMPREPLY=($(compgen -W "$("$program" "[suggest:$point]" "$line" 2>/dev/null)" -- "$word"))
}
# Where nothing else fits, a file may.
complete -o default -F _otpctl otpctl
