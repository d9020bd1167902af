"""The nouns of ``ltspctl`` → completions for bash, zsh and fish. Pure.

A word's position is the number of words before it that are not options: noun, verb, then arguments.
Names come from ``ltspctl complete``, which never starts the daemon.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ltspd.cli.grammar import HELP, JSON, VERSION, Command, Noun, commands


class Offer(NamedTuple):
    """What may stand behind ``words``: ``choices`` are words with their help, ``names`` asks the daemon.

    ``words`` are noun and verb; ``at`` is the word's position. A generation belongs to the name before it.
    """

    words: tuple[str, ...]
    at: int
    choices: tuple[tuple[str, str], ...] = ()
    names: str = ""


Nouns = Iterable[Noun]


def offers(nouns: Nouns) -> Iterator[Offer]:
    """Yield what can be offered for words that are no options."""
    yield Offer((), 0, tuple((noun.name, noun.help) for noun in nouns))
    for noun in nouns:
        if verbs := tuple((each.verb, each.help) for each in noun.commands if each.verb):
            yield Offer((noun.name,), 1, verbs)
    for command in commands(nouns):
        words = tuple(command.words.split())
        for at, argument in enumerate((each for each in command.arguments if not each.option), len(words)):
            if argument.complete:
                yield Offer(words, at, names=argument.complete)


def options(command: Command) -> tuple[tuple[str, str], ...]:
    """Return a command's options with their help; of several names, the last."""
    found = (*(each for each in command.arguments if each.option), JSON, HELP)
    return tuple((each.names[-1], each.help) for each in found)


def _valued(nouns: Nouns) -> tuple[str, ...]:
    """Return the options whose next word is their value, and not a word of the command."""
    found = (each.names[-1] for command in commands(nouns) for each in command.arguments if each.valued)
    return tuple(dict.fromkeys(found))


_TOP = tuple((each.names[-1], each.help) for each in (VERSION, HELP))
_HEAD = "# Made from the nouns of ltspctl (ltspd/cli/nouns/).\n"


def bash(nouns: Nouns) -> str:
    """Return the completion for bash."""
    lines = []
    for offer in offers(nouns):
        asked = f'$(ltspctl complete {offer.names} "${{words[2]-}}" 2>/dev/null)'
        words = asked if offer.names else " ".join(word for word, _ in offer.choices)
        lines.append(f'    "{_key(offer)}") offered="{words}" ;;')
    flags = [
        f'    "{each.words}") offered="{" ".join(name for name, _ in options(each))}" ;;'
        for each in commands(nouns)
    ]
    top = " ".join(name for name, _ in _TOP)
    return f"""{_HEAD}# shellcheck shell=bash
_ltspctl() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} offered='' value='' word
  local -a words=()
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in
    {" | ".join(_valued(nouns))} | =) value=1 ;;
    -*) value='' ;;
    *)
      [[ -n $value ]] || words+=("$word")
      value=''
      ;;
    esac
  done
  [[ -z $value ]] || return 0
  if [[ $current == -* ]]; then
    case "${{words[*]:0:2}}" in
    "") offered="{top}" ;;
{chr(10).join(flags)}
    *)
      case "${{words[0]-}}" in
{chr(10).join(_bare(each) for each in commands(nouns) if not each.verb)}
      esac
      ;;
    esac
  else
    case "${{#words[@]}} ${{words[*]:0:2}}" in
{chr(10).join(lines)}
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
}}
complete -F _ltspctl ltspctl
"""


def _bare(command: Command) -> str:
    return f'      {command.noun}) offered="{" ".join(name for name, _ in options(command))}" ;;'


def _key(offer: Offer) -> str:
    return f"{offer.at} {' '.join(offer.words)}"


def zsh(nouns: Nouns) -> str:
    """Return the completion for zsh."""
    lines = []
    for offer in offers(nouns):
        if offer.names:
            asked = f'offered=(${{(f)"$(ltspctl complete {offer.names} "${{seen[3]-}}" 2>/dev/null)"}})'
        else:
            asked = f"offered=({' '.join(_zsh(each) for each in offer.choices)})"
        lines.append(f'    "{_key(offer)}") {asked} ;;')
    flags = [
        f'    "{each.words}") offered=({" ".join(_zsh(one) for one in options(each))}) ;;'
        for each in commands(nouns)
    ]
    return f"""#compdef ltspctl
{_HEAD}
_ltspctl() {{
  local word value=''
  local -a seen offered
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$word" in
    {" | ".join(_valued(nouns))}) value=1 ;;
    -*) value='' ;;
    *)
      [[ -n $value ]] || seen+=("$word")
      value=''
      ;;
    esac
  done
  [[ -z $value ]] || return 0
  if [[ ${{words[CURRENT]}} == -* ]]; then
    case "${{seen[1,2]}}" in
    "") offered=({" ".join(_zsh(each) for each in _TOP)}) ;;
{chr(10).join(flags)}
    esac
  else
    case "${{#seen}} ${{seen[1,2]}}" in
{chr(10).join(lines)}
    esac
  fi
  _describe 'ltspctl' offered
}}

_ltspctl "$@"
"""


def _zsh(choice: tuple[str, str]) -> str:
    word, text = choice
    return _quoted(f"{word}:{text.replace(':', ' -')}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def fish(nouns: Nouns) -> str:
    """Return the completion for fish."""
    lines = []
    for offer in offers(nouns):
        condition = _quoted(f"__ltspctl_at {_key(offer)}".rstrip())
        if offer.names:
            asked = f"(ltspctl complete {offer.names} (__ltspctl_words)[3] 2>/dev/null)"
            lines.append(f"complete -c ltspctl -n {condition} -a {_quoted(asked)}")
        for word, text in offer.choices:
            lines.append(f"complete -c ltspctl -n {condition} -a {word} -d {_fish(text)}")
    for command in commands(nouns):
        for name, text in options(command):
            condition = _quoted(f"__ltspctl_in {command.words}")
            needs = " -x" if name in _valued(nouns) else ""
            lines.append(
                f"complete -c ltspctl -n {condition} -l {name.removeprefix('--')}{needs} -d {_fish(text)}"
            )
    for name, text in _TOP:
        lines.append(f"complete -c ltspctl -n '__ltspctl_at 0' -l {name.removeprefix('--')} -d {_fish(text)}")
    return f"""{_HEAD}
function __ltspctl_words
    # The words before the cursor, the program and options left out.
    set -l value
    for word in (commandline --tokenize --cut-at-cursor --current-process)[2..]
        if contains -- $word {" ".join(_valued(nouns))}
            set value 1
        else if string match --quiet -- '-*' $word
            set value
        else if test -n "$value"
            set value
        else
            echo -- $word
        end
    end
end

function __ltspctl_at --description 'Whether a word of this number stands behind these words'
    set -l words (__ltspctl_words)
    test (count $words) -eq $argv[1]; and __ltspctl_in $argv[2..]
end

function __ltspctl_in --description 'Whether the command line begins with these words'
    set -l words (__ltspctl_words)
    for at in (seq (count $argv))
        test "$words[$at]" = $argv[$at]; or return 1
    end
end

complete -c ltspctl -f
{chr(10).join(lines)}
"""


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
