"""Commands as jobs on EMR Serverless: what a job gets, how it is started, followed and cancelled, and its log."""
