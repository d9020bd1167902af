settings.sig
