#include "prompt_cache/postgres_schema.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace satchel::prompt_cache {
namespace {

using Steady = PostgresConnection::Steady;

struct Column {
  std::string_view name;
  std::string_view type;
};
// Those that our statements name.
constexpr std::array<Column, 7> kColumns = {{{"principal_id", "uuid"},
                                             {"virtual_model", "text"},
                                             {"tokenizer_version", "text"},
                                             {"prefix_hash", "bytea"},
                                             {"cumulative_token_count", "integer"},
                                             {"ttl_tier", "text"},
                                             {"expires_at", "timestamp with time zone"}}};

constexpr const char* kColumnsOfTable =
    "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod),"
    " a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' "
    "FROM pg_attribute a WHERE a.attrelid = to_regclass('prompt_cache_entries')"
    " AND a.attnum > 0 AND NOT a.attisdropped";

// A table, the unique key, the index on expires_at.
constexpr const char* kPartsOfTable =
    "SELECT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.oid AND c.relkind IN ('r', 'p')),"
    " EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid"
    "  AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 4"
    "  AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE \"C\")"
    "   FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = ANY (i.indkey::int2[]))"
    "  = ARRAY['prefix_hash', 'principal_id', 'tokenizer_version', 'virtual_model']),"
    " EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = t.oid"
    "  AND a.attnum = i.indkey[0] AND a.attname = 'expires_at'"
    "  WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL) "
    "FROM (SELECT to_regclass('prompt_cache_entries') AS oid) t";

// Several processes may start at once: IF NOT EXISTS alone does not keep them from each other.
constexpr const char* kOneAtATime = "SELECT pg_advisory_xact_lock(8314054357404707941)";

constexpr const char* kCreateTable =
    "CREATE TABLE IF NOT EXISTS prompt_cache_entries ("
    "id bigserial PRIMARY KEY, "
    "principal_id uuid NOT NULL, "
    "virtual_model text NOT NULL, "
    "tokenizer_version text NOT NULL, "
    "prefix_hash bytea NOT NULL, "
    "cumulative_token_count integer NOT NULL, "
    "ttl_tier text NOT NULL CHECK (ttl_tier IN ('5m', '1h', '24h')), "
    "created_at timestamptz NOT NULL DEFAULT now(), "
    "expires_at timestamptz NOT NULL, "
    "UNIQUE (principal_id, virtual_model, tokenizer_version, prefix_hash))";
constexpr const char* kCreateUniqueKey =
    "CREATE UNIQUE INDEX IF NOT EXISTS idx_prompt_cache_entries_key ON prompt_cache_entries"
    " (principal_id, virtual_model, tokenizer_version, prefix_hash)";
constexpr const char* kCreateExpiryIndex =
    "CREATE INDEX IF NOT EXISTS idx_prompt_cache_entries_expires_at"
    " ON prompt_cache_entries (expires_at)";

core::Error failed(const std::string& what, const PostgresFailure& why) {
  return {why.timeout ? core::Status::kTimeout : core::Status::kIo, what + why.message};
}

core::Error other_shape(const std::string& how) {
  return {core::Status::kIo, "the table prompt_cache_entries has another shape: " + how};
}

PostgresFailure make(PostgresConnection& connection, std::initializer_list<const char*> statements,
                     Steady::time_point until) {
  std::vector<PostgresStep> steps = {{PostgresStep::Kind::kOnce, kOneAtATime}};
  for (const char* statement : statements) steps.push_back({PostgresStep::Kind::kOnce, statement});
  return connection.run(steps, until).failure;
}

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

core::Result<void> check_columns(const PostgresRows& columns) {
  std::array<bool, kColumns.size()> found{};
  for (int row = 0; row < columns.size(); ++row) {
    const std::string_view name = columns.bytes(row, 0);
    const std::string_view type = columns.bytes(row, 1);
    const auto* const known = std::find_if(kColumns.begin(), kColumns.end(),
                                           [&](const Column& one) { return one.name == name; });
    if (known == kColumns.end()) {
      const bool needs_value = columns.boolean(row, 2);
      if (!needs_value) continue;
      return other_shape("a row needs a value for the column " + quoted(name) +
                         ", which is unknown here and has no default");
    }
    if (type != known->type) {
      return other_shape("the column " + quoted(name) + " is of type " + std::string(type) +
                         ", not " + std::string(known->type));
    }
    found[static_cast<std::size_t>(known - kColumns.begin())] = true;
  }
  for (std::size_t i = 0; i < kColumns.size(); ++i) {
    if (!found[i]) return other_shape("it has no column " + quoted(kColumns[i].name));
  }
  return core::Ok{};
}

}  // namespace

core::Result<void> PostgresTable::prepare(PostgresConnection& connection,
                                          std::chrono::seconds patience) {
  // The second one to come finds what the first one has repaired.
  const std::lock_guard lock(one_at_a_time_);
  const Steady::time_point until = Steady::now() + patience;
  const std::array<PostgresStep, 2> look = {
      PostgresStep{PostgresStep::Kind::kOnce, kColumnsOfTable},
      PostgresStep{PostgresStep::Kind::kOnce, kPartsOfTable}};
  const PostgresConnection::Answer seen = connection.run(look, until);
  if (seen.failure.failed) return failed("the catalogue cannot be read: ", seen.failure);
  if (seen.rows[0].size() == 0) {
    const PostgresFailure why = make(connection, {kCreateTable, kCreateExpiryIndex}, until);
    if (!why.failed) return core::Ok{};
    return failed("the table prompt_cache_entries is missing and cannot be made: ", why);
  }
  if (core::Result<void> checked = check_columns(seen.rows[0]); !checked) return checked;
  const PostgresRows& parts = seen.rows[1];
  const bool is_table = parts.boolean(0, 0);
  const bool has_key = parts.boolean(0, 1);
  const bool has_expiry_index = parts.boolean(0, 2);
  if (!is_table) return other_shape("it is no table");
  if (has_key && has_expiry_index) return core::Ok{};
  // Once only: an index over a big table takes long, and holds up those who write to it.
  const bool repair = !std::exchange(repaired_, true);
  if (!has_key) {
    if (core::Result<void> made = add_key(connection, repair, until); !made) return made;
  }
  if (has_expiry_index || !repair) return core::Ok{};
  return add_expiry_index(connection, until);
}

core::Result<void> PostgresTable::add_key(PostgresConnection& connection, bool repair,
                                          Steady::time_point until) {
  const char* const missing =
      "it has no unique key on principal_id, virtual_model, "
      "tokenizer_version and prefix_hash";
  if (!repair) return other_shape(missing);
  const PostgresFailure why = make(connection, {kCreateUniqueKey}, until);
  if (!why.failed) return core::Ok{};
  return other_shape(missing + (", and it cannot be given one: " + why.message));
}

core::Result<void> PostgresTable::add_expiry_index(PostgresConnection& connection,
                                                   Steady::time_point until) {
  const PostgresFailure why = make(connection, {kCreateExpiryIndex}, until);
  if (why.lost) return failed("the index on expires_at cannot be made: ", why);
  if (why.failed) {
    log_.write(core::LogLevel::kWarn, "prompt_cache.postgres",
               "the table prompt_cache_entries has no index on expires_at, and none can be made: " +
                   why.message + "; to sweep it, all of it is read");
  }
  return core::Ok{};
}

}  // namespace satchel::prompt_cache
