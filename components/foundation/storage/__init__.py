"""Files by URI, and where everything lies in a storage. The only user of boto3."""
