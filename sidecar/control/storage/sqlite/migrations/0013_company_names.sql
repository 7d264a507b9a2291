-- Ids that companies were renamed to, and since which revision each was last called by it. The first id of a company stands
-- here, too, once it was renamed back to that.
CREATE TABLE company_name (
    name TEXT PRIMARY KEY NOT NULL,
    company TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX company_name_by_company ON company_name (company, revision);
