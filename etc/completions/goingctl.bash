# Completes the words of goingctl(8) in bash: put it where bash-completion looks,
# under the name goingctl, or say `eval "$(goingctl completions bash)"`.

_goingctl() {
	local line=${COMP_LINE:0:COMP_POINT} typed last
	local -a words
	# By blanks only: readline has cut names at each : and @ as well.
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	typed=${words[${#words[@]} - 1]}
	mapfile -t COMPREPLY < <("$1" complete-words -- "${words[@]:1}" 2>/dev/null)
	# What stands before the last of its own breaks readline keeps by itself.
	last=${typed##*[":=@"]}
	if [[ $COMP_WORDBREAKS == *[":=@"]* && $last != "$typed" ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${typed%"$last"}"}")
	fi
	# After `user=` comes a value, not the next word.
	[[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
	return 0
}

complete -o default -F _goingctl goingctl
