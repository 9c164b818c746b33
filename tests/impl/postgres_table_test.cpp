// The table: made where it is missing, refused where it is another.
#include <string>
#include <thread>
#include <vector>

#include "postgres_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

class PostgresTableTest : public PostgresTest {
 protected:
  // Why the index cannot be asked, once it knows.
  std::string refusal() {
    const std::shared_ptr<Index> index = open();
    const PrefixHash hash = hash_number(1);
    const auto answer = index->lookup(some_scope(), {&hash, 1}, now());
    return answer.ok() ? "" : answer.error().message;
  }
  bool works() {
    const std::shared_ptr<Index> index = open();
    return index->commit(writing({live_entry(1)})) && flush(*index) && finds(*index, 1) &&
           index->counts().entries_dropped == 0;
  }
};

constexpr const char* kTable =
    "CREATE TABLE prompt_cache_entries (id bigserial PRIMARY KEY, principal_id uuid NOT NULL, "
    "virtual_model text NOT NULL, tokenizer_version text NOT NULL, prefix_hash bytea NOT NULL, "
    "cumulative_token_count integer NOT NULL, ttl_tier text NOT NULL, "
    "created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL, "
    "UNIQUE (principal_id, virtual_model, tokenizer_version, prefix_hash));";

TEST_F(PostgresTableTest, IsMadeAsTheReferenceHasIt) {
  ASSERT_TRUE(works());
  EXPECT_EQ(sql("SELECT column_name, data_type, is_nullable, column_default FROM "
                "information_schema.columns WHERE table_schema = current_schema() AND table_name = "
                "'prompt_cache_entries' "
                "ORDER BY ordinal_position"),
            "id|bigint|NO|nextval('prompt_cache_entries_id_seq'::regclass)\n"
            "principal_id|uuid|NO|\n"
            "virtual_model|text|NO|\n"
            "tokenizer_version|text|NO|\n"
            "prefix_hash|bytea|NO|\n"
            "cumulative_token_count|integer|NO|\n"
            "ttl_tier|text|NO|\n"
            "created_at|timestamp with time zone|NO|now()\n"
            "expires_at|timestamp with time zone|NO|");
  EXPECT_EQ(sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = "
                "'prompt_cache_entries'::regclass AND contype <> 'n' ORDER BY 1"),
            "CHECK ((ttl_tier = ANY (ARRAY['5m'::text, '1h'::text, '24h'::text])))\n"
            "PRIMARY KEY (id)\n"
            "UNIQUE (principal_id, virtual_model, tokenizer_version, prefix_hash)");
  EXPECT_EQ(sql("SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() "
                "AND indexname = 'idx_prompt_cache_entries_expires_at'"),
            "CREATE INDEX idx_prompt_cache_entries_expires_at ON " + place_ +
                ".prompt_cache_entries "
                "USING btree (expires_at)");
}

TEST_F(PostgresTableTest, IsMadeOnceByManyThatStartAtOnce) {
  std::vector<std::shared_ptr<Index>> hosts;
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) hosts.push_back(open());
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    threads.emplace_back([&, i] { EXPECT_TRUE(hosts[i]->commit(writing({live_entry(i)}))); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::shared_ptr<Index>& host : hosts) EXPECT_TRUE(flush(*host));
  for (std::uint64_t n = 0; n < hosts.size(); ++n) EXPECT_TRUE(finds(*hosts[0], n));
  EXPECT_EQ(log_.count("warn"), 0U) << log_.all();
}

TEST_F(PostgresTableTest, OfAnotherShapeIsRefusedByName) {
  struct Row {
    std::string change;
    std::string message;
  };
  for (const Row& row : {
           Row{"DROP COLUMN ttl_tier", "it has no column \"ttl_tier\""},
           Row{"ALTER COLUMN prefix_hash TYPE text",
               "the column \"prefix_hash\" is of type text, not bytea"},
           Row{"ALTER COLUMN cumulative_token_count TYPE bigint",
               "the column \"cumulative_token_count\" is of type bigint, not integer"},
           Row{"ALTER COLUMN expires_at TYPE timestamp",
               "the column \"expires_at\" is of type timestamp without time zone, not timestamp "
               "with time zone"},
           Row{"ALTER COLUMN virtual_model TYPE varchar(64)",
               "the column \"virtual_model\" is of type character varying(64), not text"},
           Row{"ADD COLUMN region text NOT NULL",
               "a row needs a value for the column \"region\", which is unknown here and has no "
               "default"},
       }) {
    static_cast<void>(sql(std::string("DROP TABLE IF EXISTS prompt_cache_entries;") + kTable +
                          "ALTER TABLE prompt_cache_entries " + row.change));
    const std::string message = refusal();
    EXPECT_NE(message.find("the table prompt_cache_entries has another shape: " + row.message),
              std::string::npos)
        << row.change << ": " << message;
  }
  static_cast<void>(
      sql("DROP TABLE prompt_cache_entries; CREATE VIEW prompt_cache_entries AS "
          "SELECT NULL::uuid AS principal_id, ''::text AS virtual_model, ''::text AS "
          "tokenizer_version, ''::bytea AS prefix_hash, 0 AS cumulative_token_count, "
          "''::text AS ttl_tier, now() AS expires_at"));
  EXPECT_NE(refusal().find("it is no table"), std::string::npos);
}

TEST_F(PostgresTableTest, ARefusalIsSaidOnceAndTakenBackWhenTheTableIsRight) {
  config_.lookup_timeout_ms = 300;
  static_cast<void>(
      sql(std::string(kTable) + "ALTER TABLE prompt_cache_entries ADD COLUMN region int NOT NULL"));
  const std::shared_ptr<Index> index = open();
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(answers(*index));
  EXPECT_EQ(log_.count("cannot be asked"), 1U) << log_.all();
  EXPECT_EQ(log_.count("requests go on uncached"), 1U) << log_.all();
  static_cast<void>(sql("ALTER TABLE prompt_cache_entries ALTER COLUMN region SET DEFAULT 1"));
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
  EXPECT_EQ(log_.count("answers again"), 1U) << log_.all();
}

TEST_F(PostgresTableTest, OfTheFutureIsUsedWhereItAsksForNothingNew) {
  static_cast<void>(sql(std::string(kTable) +
                        "ALTER TABLE prompt_cache_entries ADD COLUMN region text NOT NULL DEFAULT "
                        "'eu', ADD COLUMN note jsonb, ADD COLUMN serial bigint GENERATED ALWAYS AS "
                        "IDENTITY, DROP COLUMN created_at, DROP COLUMN id"));
  EXPECT_TRUE(works());
}

TEST_F(PostgresTableTest, MayBePartitioned) {
  static_cast<void>(
      sql("CREATE TABLE prompt_cache_entries (principal_id uuid NOT NULL, virtual_model text NOT "
          "NULL, tokenizer_version text NOT NULL, prefix_hash bytea NOT NULL, "
          "cumulative_token_count integer NOT NULL, ttl_tier text NOT NULL, expires_at timestamptz "
          "NOT NULL, UNIQUE (principal_id, virtual_model, tokenizer_version, prefix_hash)) "
          "PARTITION BY HASH (principal_id);"
          "CREATE TABLE p0 PARTITION OF prompt_cache_entries FOR VALUES WITH (MODULUS 2, REMAINDER "
          "0); CREATE TABLE p1 PARTITION OF prompt_cache_entries FOR VALUES WITH (MODULUS 2, "
          "REMAINDER 1)"));
  EXPECT_TRUE(works());
  static_cast<void>(sql("UPDATE prompt_cache_entries SET expires_at = now() - interval '1 hour'"));
  EXPECT_EQ(*make_postgres_backend(config_, clock_, log_)->sweep().rows, 1U);
}

TEST_F(PostgresTableTest, IsGivenTheIndexesThatItLacks) {
  static_cast<void>(sql(std::string(kTable) +
                        "ALTER TABLE prompt_cache_entries DROP CONSTRAINT "
                        "prompt_cache_entries_principal_id_virtual_model_tokenizer_v_key"));
  EXPECT_TRUE(works());
  EXPECT_EQ(sql("SELECT count(*) FROM pg_indexes WHERE schemaname = current_schema()"), "3");
}

TEST_F(PostgresTableTest, IsUsedByARoleThatMayNotMakeOne) {
  static_cast<void>(sql(std::string(kTable) +
                        "GRANT SELECT, INSERT, UPDATE, DELETE ON prompt_cache_entries TO guarded; "
                        "GRANT USAGE ON SEQUENCE prompt_cache_entries_id_seq TO guarded; "
                        "GRANT USAGE ON SCHEMA " +
                        place_ + " TO guarded"));
  config_.url = server_.url(place_, 0, "guarded:correct%20horse");
  EXPECT_TRUE(works());
  // It lacks the index on expires_at, which is the owner's to make.
  EXPECT_GT(log_.count("has no index on expires_at, and none can be made"), 0U) << log_.all();
}

// Which is not the same as a table without the entry: that would be created, and paid for, again
// and again.
TEST_F(PostgresTableTest, WhoseRowsCannotBeReadGivesNoAnswer) {
  ASSERT_TRUE(works());
  static_cast<void>(
      sql("GRANT ALL ON prompt_cache_entries TO guarded; "
          "GRANT USAGE ON SCHEMA " +
          place_ +
          " TO guarded; "
          "ALTER TABLE prompt_cache_entries ENABLE ROW LEVEL SECURITY; "
          "CREATE POLICY broken ON prompt_cache_entries"
          " USING (1 / (octet_length(prefix_hash) - 32) = 0)"));
  config_.url = server_.url(place_, 0, "guarded:correct%20horse");
  EXPECT_NE(refusal().find("division by zero"), std::string::npos) << log_.all();
}

TEST_F(PostgresTableTest, OfAnotherEncodingHoldsTheNamesThatItCanSpell) {
  static_cast<void>(server_.sql("postgres",
                                "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' "
                                "LC_CTYPE 'C' TEMPLATE template0"));
  config_.url = server_.url("latin");
  const std::shared_ptr<Index> index = open();
  const Scope spelled{"p", "mod\xc3\xa8le", "v"};
  const Scope unspelled{"p", "\xe6\xa8\xa1", "v"};
  ASSERT_TRUE(index->commit(writing({live_entry(1)}, spelled)));
  ASSERT_TRUE(index->commit(writing({live_entry(1)}, unspelled)));
  ASSERT_TRUE(flush(*index));
  EXPECT_TRUE(finds(*index, 1, spelled));
  EXPECT_FALSE(finds(*index, 1, unspelled));
  EXPECT_EQ(index->counts().lookup_failures, 0U) << log_.all();
  EXPECT_EQ(index->counts().entries_dropped, 1U);
}

TEST_F(PostgresTableTest, WhereItIsMissingAndMayNotBeMadeThatIsSaid) {
  static_cast<void>(sql("GRANT USAGE ON SCHEMA " + place_ + " TO guarded"));
  config_.url = server_.url(place_, 0, "guarded:correct%20horse");
  const std::string message = refusal();
  EXPECT_NE(message.find("the table prompt_cache_entries is missing and cannot be made: permission "
                         "denied for schema " +
                         place_),
            std::string::npos)
      << message;
}

TEST_F(PostgresTableTest, ThatIsDroppedWhileItIsUsedIsMadeAgain) {
  const std::shared_ptr<Index> index = open();
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  ASSERT_TRUE(flush(*index));
  ASSERT_TRUE(finds(*index, 1));
  static_cast<void>(sql("DROP TABLE prompt_cache_entries"));
  ASSERT_TRUE(index->commit(writing({live_entry(2)})));
  EXPECT_FALSE(finds(*index, 1));
  ASSERT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 2); }));
}

}  // namespace
}  // namespace satchel::prompt_cache
