"""A broker that is SQS, played by moto's server. Started by the `sqs` session of the noxfile."""
