"""How well it tracks: metrics, readers of datasets and bags, reports."""
