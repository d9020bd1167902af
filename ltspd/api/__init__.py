"""The D-Bus face: the contract, the object tree as a function of the state, dispatch, authorization."""
