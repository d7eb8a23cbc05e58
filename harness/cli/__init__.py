"""Commands, their options, and what they print: the only place that knows every package."""
