#compdef goingctl
# Completes the words of goingctl(8) in zsh: put it into a directory of $fpath
# under the name _goingctl, or say `eval "$(goingctl completions zsh)"`.

_goingctl() {
	local -a found keys
	found=("${(@f)$("${words[1]}" complete-words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	found=(${found:#})
	if (( ! $#found )); then
		_files
		return
	fi
	# After `user=` comes a value, not the next word.
	keys=(${(M)found:#*=})
	found=(${found:#*=})
	(( $#keys )) && compadd -S '' -a keys
	(( $#found )) && compadd -a found
}

if [[ ${funcstack[1]} == _goingctl ]]; then
	_goingctl "$@"
else
	compdef _goingctl goingctl
fi
