# Made from the grammar of ltspctl (ltspd/cli/grammar.py).
# shellcheck shell=bash
_ltspctl() {
  local current=${COMP_WORDS[COMP_CWORD]} offered='' value='' word
  local -a words=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
    --kernel | --initrd | =) value=1 ;;
    -*) value='' ;;
    *)
      [[ -n $value ]] || words+=("$word")
      value=''
      ;;
    esac
  done
  [[ -z $value ]] || return 0
  if [[ $current == -* ]]; then
    case "${words[*]:0:2}" in
    "") offered="--version --help" ;;
    "status") offered="--json --help" ;;
    "setup") offered="--yes --no-wait --undo --json --help" ;;
    "image list") offered="--json --help" ;;
    "image show") offered="--json --help" ;;
    "image build") offered="--background --direct --full --kernel --initrd --test --no-test --no-wait --json --help" ;;
    "image test") offered="--no-wait --json --help" ;;
    "image revert") offered="--json --help" ;;
    "image remove") offered="--json --help" ;;
    "image keep") offered="--undo --json --help" ;;
    "link list") offered="--json --help" ;;
    "link show") offered="--json --help" ;;
    "client list") offered="--json --help" ;;
    "client show") offered="--json --help" ;;
    "output list") offered="--json --help" ;;
    "output show") offered="--json --help" ;;
    "output preview") offered="--json --help" ;;
    "job list") offered="--json --help" ;;
    "job show") offered="--json --help" ;;
    "job watch") offered="--json --help" ;;
    "job cancel") offered="--json --help" ;;
    "config show") offered="--all --json --help" ;;
    "config check") offered="--json --help" ;;
    "reload") offered="--json --help" ;;
    "apply") offered="--force --json --help" ;;
    *)
      case "${words[0]-}" in
      status) offered="--json --help" ;;
      setup) offered="--yes --no-wait --undo --json --help" ;;
      reload) offered="--json --help" ;;
      apply) offered="--force --json --help" ;;
      esac
      ;;
    esac
  else
    case "${#words[@]} ${words[*]:0:2}" in
    "0 ") offered="status setup image link client output job config reload apply" ;;
    "1 image") offered="list show build test revert remove keep" ;;
    "1 link") offered="list show" ;;
    "1 client") offered="list show" ;;
    "1 output") offered="list show preview" ;;
    "1 job") offered="list show watch cancel" ;;
    "1 config") offered="show check" ;;
    "2 image show") offered="$(ltspctl complete image "${words[2]-}" 2>/dev/null)" ;;
    "2 image build") offered="$(ltspctl complete image "${words[2]-}" 2>/dev/null)" ;;
    "2 image test") offered="$(ltspctl complete image "${words[2]-}" 2>/dev/null)" ;;
    "3 image test") offered="$(ltspctl complete generation "${words[2]-}" 2>/dev/null)" ;;
    "2 image revert") offered="$(ltspctl complete image "${words[2]-}" 2>/dev/null)" ;;
    "3 image revert") offered="$(ltspctl complete generation "${words[2]-}" 2>/dev/null)" ;;
    "2 image remove") offered="$(ltspctl complete image "${words[2]-}" 2>/dev/null)" ;;
    "3 image remove") offered="$(ltspctl complete generation "${words[2]-}" 2>/dev/null)" ;;
    "2 image keep") offered="$(ltspctl complete image "${words[2]-}" 2>/dev/null)" ;;
    "3 image keep") offered="$(ltspctl complete generation "${words[2]-}" 2>/dev/null)" ;;
    "2 link show") offered="$(ltspctl complete link "${words[2]-}" 2>/dev/null)" ;;
    "2 client show") offered="$(ltspctl complete client "${words[2]-}" 2>/dev/null)" ;;
    "2 output show") offered="$(ltspctl complete output "${words[2]-}" 2>/dev/null)" ;;
    "2 output preview") offered="$(ltspctl complete output "${words[2]-}" 2>/dev/null)" ;;
    "2 job show") offered="$(ltspctl complete job "${words[2]-}" 2>/dev/null)" ;;
    "2 job watch") offered="$(ltspctl complete job "${words[2]-}" 2>/dev/null)" ;;
    "2 job cancel") offered="$(ltspctl complete job "${words[2]-}" 2>/dev/null)" ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
}
complete -F _ltspctl ltspctl
