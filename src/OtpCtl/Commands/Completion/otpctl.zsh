#compdef otpctl
# Completion of otpctl for zsh, after compinit. Now: source <(otpctl completion zsh)
# For every shell: otpctl completion zsh > a folder of $fpath, as _otpctl
_otpctl() {
    # The program itself knows what may come next: the line up to the cursor, under its own name.
    local line="otpctl ${(j: :)words[2,CURRENT]}"
    local -a found
    found=("${(@f)$(${words[1]} "[suggest:${#line}]" "$line" 2>/dev/null)}")
    found=(${found:#})
    if (( ${#found} )); then
        compadd -- "${found[@]}"
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _otpctl ]]; then
    _otpctl "$@"
else
    compdef _otpctl otpctl
fi
