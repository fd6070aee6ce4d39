"""What client keys may use: buckets a minute, budgets a day and month, in this process or in Redis.

One rule: a request of a key without limits never comes here.
"""
