"""Models: the target behind an access level, recipes, and the engines that train one or many."""
