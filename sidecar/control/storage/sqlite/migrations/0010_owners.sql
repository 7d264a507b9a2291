-- Who owns those fields of a company that are not the file's (see FieldOwner), as JSON; NULL for none.
-- A version before knew no owners: what a company has then is the file's, but for overrides with an id.
ALTER TABLE company ADD COLUMN owners BLOB;
