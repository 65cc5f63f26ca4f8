"""What people do to pipelines. Functions that return values and never print."""
