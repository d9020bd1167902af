"""Every noun of the product, frozen, by subject. No behaviour but what follows from the fields. Pure."""
