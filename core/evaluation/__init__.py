"""Systems against known answers: benchmark files, measures, significance and judging."""
