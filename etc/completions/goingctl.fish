# Completes the words of goingctl(8) in fish: put it into a directory of
# $fish_complete_path under the name goingctl.fish, or say
# `goingctl completions fish | source`.

function __goingctl_words
    set -l words (commandline -opc) (commandline -ct)
    $words[1] complete-words -- $words[2..-1] 2>/dev/null
end

complete -c goingctl -f -a '(__goingctl_words)'
complete -c goingctl -n '__fish_seen_subcommand_from check metrics' -F
