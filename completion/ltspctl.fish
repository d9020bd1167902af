# Made from the grammar of ltspctl (ltspd/cli/grammar.py).

function __ltspctl_words
    # The words before the cursor, the program and options left out.
    set -l value
    for word in (commandline --tokenize --cut-at-cursor --current-process)[2..]
        if contains -- $word --kernel --initrd
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
complete -c ltspctl -n '__ltspctl_at 0' -a status -d 'how the server is doing and what needs attention'
complete -c ltspctl -n '__ltspctl_at 0' -a setup -d 'what is served where, and the first image'
complete -c ltspctl -n '__ltspctl_at 0' -a image -d 'root images: list, build, test, revert, keep'
complete -c ltspctl -n '__ltspctl_at 0' -a link -d 'network interfaces'
complete -c ltspctl -n '__ltspctl_at 0' -a client -d 'machines that boot from this server'
complete -c ltspctl -n '__ltspctl_at 0' -a output -d 'generated files'
complete -c ltspctl -n '__ltspctl_at 0' -a job -d 'long work, such as builds'
complete -c ltspctl -n '__ltspctl_at 0' -a config -d 'what ltsp.conf says'
complete -c ltspctl -n '__ltspctl_at 0' -a reload -d 'read ltsp.conf again'
complete -c ltspctl -n '__ltspctl_at 0' -a apply -d 'bring everything up to date'
complete -c ltspctl -n '__ltspctl_at 1 image' -a list -d 'list images'
complete -c ltspctl -n '__ltspctl_at 1 image' -a show -d 'show an image and its generations'
complete -c ltspctl -n '__ltspctl_at 1 image' -a build -d 'build a new generation and make it the one that clients boot'
complete -c ltspctl -n '__ltspctl_at 1 image' -a test -d 'boot a generation in a machine of its own and see whether it reaches its login'
complete -c ltspctl -n '__ltspctl_at 1 image' -a revert -d 'make an older generation the one that new clients boot'
complete -c ltspctl -n '__ltspctl_at 1 image' -a remove -d 'remove a generation that is not current and that nothing uses'
complete -c ltspctl -n '__ltspctl_at 1 image' -a keep -d 'keep a generation however old it gets, or stop doing so'
complete -c ltspctl -n '__ltspctl_at 1 link' -a list -d 'list interfaces and what is answered on them'
complete -c ltspctl -n '__ltspctl_at 1 link' -a show -d 'show an interface'
complete -c ltspctl -n '__ltspctl_at 1 client' -a list -d 'list clients and how far each has come'
complete -c ltspctl -n '__ltspctl_at 1 client' -a show -d 'show a client'
complete -c ltspctl -n '__ltspctl_at 1 output' -a list -d 'list outputs and whether they are in sync'
complete -c ltspctl -n '__ltspctl_at 1 output' -a show -d 'show an output'
complete -c ltspctl -n '__ltspctl_at 1 output' -a preview -d 'show what applying an output would change'
complete -c ltspctl -n '__ltspctl_at 1 job' -a list -d 'list running and recently finished jobs'
complete -c ltspctl -n '__ltspctl_at 1 job' -a show -d 'show a job'
complete -c ltspctl -n '__ltspctl_at 1 job' -a watch -d 'follow a job to its end; fails if the job fails'
complete -c ltspctl -n '__ltspctl_at 1 job' -a cancel -d 'ask a job to stop'
complete -c ltspctl -n '__ltspctl_at 1 config' -a show -d 'show the settings of a client, or of the server, and which line sets each'
complete -c ltspctl -n '__ltspctl_at 1 config' -a check -d 'check ltsp.conf as it is on disk, without applying it; fails if there are errors'
complete -c ltspctl -n '__ltspctl_at 2 image show' -a '(ltspctl complete image (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 image build' -a '(ltspctl complete image (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 image test' -a '(ltspctl complete image (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 3 image test' -a '(ltspctl complete generation (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 image revert' -a '(ltspctl complete image (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 3 image revert' -a '(ltspctl complete generation (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 image remove' -a '(ltspctl complete image (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 3 image remove' -a '(ltspctl complete generation (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 image keep' -a '(ltspctl complete image (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 3 image keep' -a '(ltspctl complete generation (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 link show' -a '(ltspctl complete link (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 client show' -a '(ltspctl complete client (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 output show' -a '(ltspctl complete output (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 output preview' -a '(ltspctl complete output (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 job show' -a '(ltspctl complete job (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 job watch' -a '(ltspctl complete job (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_at 2 job cancel' -a '(ltspctl complete job (__ltspctl_words)[3] 2>/dev/null)'
complete -c ltspctl -n '__ltspctl_in status' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in status' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in setup' -l yes -d 'ask nothing'
complete -c ltspctl -n '__ltspctl_in setup' -l no-wait -d 'start the job, print its id, don\'t wait for it'
complete -c ltspctl -n '__ltspctl_in setup' -l undo -d 'put files of LTSP that were moved aside back, and do nothing else'
complete -c ltspctl -n '__ltspctl_in setup' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in setup' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in image list' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in image list' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in image show' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in image show' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in image build' -l background -d 'build with low CPU and disk priority'
complete -c ltspctl -n '__ltspctl_in image build' -l direct -d 'pack nothing: clients read the chroot itself, by NFS, or a live medium\'s own squashfs'
complete -c ltspctl -n '__ltspctl_in image build' -l full -d 'pack everything anew, also what did not change'
complete -c ltspctl -n '__ltspctl_in image build' -l kernel -x -d 'take the newest kernel whose version or file this shell pattern fits, now and in later builds; \'\' goes back to the source\'s own choice'
complete -c ltspctl -n '__ltspctl_in image build' -l initrd -x -d 'own: boot with our small initrd; distribution: with the image\'s own one and our client as a guest in it; now and in later builds'
complete -c ltspctl -n '__ltspctl_in image build' -l test -d 'test the new generation first (see \'image test\'), and drop it if it fails'
complete -c ltspctl -n '__ltspctl_in image build' -l no-test -d 'don\'t test it, whatever TEST_IMAGE of ltsp.conf says'
complete -c ltspctl -n '__ltspctl_in image build' -l no-wait -d 'start the job, print its id, don\'t wait for it'
complete -c ltspctl -n '__ltspctl_in image build' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in image build' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in image test' -l no-wait -d 'start the job, print its id, don\'t wait for it'
complete -c ltspctl -n '__ltspctl_in image test' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in image test' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in image revert' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in image revert' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in image remove' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in image remove' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in image keep' -l undo -d 'let it go when its time comes'
complete -c ltspctl -n '__ltspctl_in image keep' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in image keep' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in link list' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in link list' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in link show' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in link show' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in client list' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in client list' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in client show' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in client show' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in output list' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in output list' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in output show' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in output show' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in output preview' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in output preview' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in job list' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in job list' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in job show' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in job show' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in job watch' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in job watch' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in job cancel' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in job cancel' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in config show' -l all -d 'show defaults, too'
complete -c ltspctl -n '__ltspctl_in config show' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in config show' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in config check' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in config check' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in reload' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in reload' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_in apply' -l force -d 'overwrite generated files that were edited'
complete -c ltspctl -n '__ltspctl_in apply' -l json -d 'print JSON instead of text'
complete -c ltspctl -n '__ltspctl_in apply' -l help -d 'print help and end'
complete -c ltspctl -n '__ltspctl_at 0' -l version -d 'print the version of ltspctl and end'
complete -c ltspctl -n '__ltspctl_at 0' -l help -d 'print help and end'
