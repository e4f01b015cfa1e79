"""The chapters of the page; each a function of the runs, each says in one line what it lacks."""
