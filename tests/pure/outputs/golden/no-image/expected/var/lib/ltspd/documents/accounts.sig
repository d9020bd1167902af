accounts.sig
