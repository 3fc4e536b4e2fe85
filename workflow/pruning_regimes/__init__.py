"""Which decoder layers of a vision-language model can be removed, for which domain, at which budget, at what cost."""

__version__ = "0.1.0"
