"""Every noun of the product, frozen, by subject. Properties only follow from the fields. Pure."""
