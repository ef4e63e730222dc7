# Completion of otpctl for fish. Now: otpctl completion fish | source
# For every shell: otpctl completion fish > ~/.config/fish/completions/otpctl.fish
function __otpctl_complete
    # The program itself knows what may come next: the line up to the cursor.
    set -l line (commandline -cp)
    otpctl "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
end
complete -c otpctl -a '(__otpctl_complete)'
