"""The report for managers: figures computed from gold and the manifests, and rendered as HTML, Markdown or JSON."""
