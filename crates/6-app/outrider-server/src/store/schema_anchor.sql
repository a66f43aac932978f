-- Since version 5: the key that vouches for a vehicle's anchor, an uncompressed point of P-256.

ALTER TABLE vehicle ADD COLUMN anchor_key BLOB;
