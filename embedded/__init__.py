"""The whole service in one folder: broker, database, API and worker under one keeper."""
