#include "prompt_cache/sqlite_schema.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

namespace satchel::prompt_cache {
namespace {

constexpr std::int64_t kApplicationId = 0x73617470;  // "satp", shown by file(1)
constexpr std::int64_t kVersion = 1;

constexpr const char* kTable =
    "CREATE TABLE entries(key INTEGER PRIMARY KEY, scope BLOB NOT NULL, hash BLOB NOT NULL, "
    "tokens INTEGER NOT NULL, tier INTEGER NOT NULL, expires_at INTEGER NOT NULL, "
    "seal INTEGER NOT NULL)";
constexpr const char* kIndex = "CREATE INDEX entries_by_expiry ON entries(expires_at)";

struct Answer {
  core::SqliteFailure failure;
  std::int64_t number = 0;
  std::string text;
};

Answer ask(core::SqliteConnection& connection, const std::string& sql) {
  Answer answer;
  core::SqliteStatement statement;
  answer.failure = connection.prepare(sql.c_str(), statement);
  if (answer.failure.failed()) return answer;
  const int rc = statement.step();
  if (rc == SQLITE_ROW) {
    answer.number = statement.integer(0);
    answer.text = statement.text(0);
  } else if (rc != SQLITE_DONE) {
    answer.failure = connection.failure(rc, sql);
  }
  return answer;
}

core::SqliteFailure use_wal(core::SqliteConnection& connection) {
  Answer mode = ask(connection, "PRAGMA journal_mode=WAL");
  if (mode.failure.failed()) return mode.failure;
  if (mode.text != "wal") {
    return {core::SqliteTrouble::kRefused, "this file system cannot hold a database in WAL mode"};
  }
  return {};
}

core::SqliteFailure make_schema(core::SqliteConnection& connection) {
  if (core::SqliteFailure failure = use_wal(connection); failure.failed()) return failure;
  const std::string sql = std::string("BEGIN IMMEDIATE;") + kTable + ';' + kIndex +
                          ";PRAGMA application_id=" + std::to_string(kApplicationId) +
                          ";PRAGMA user_version=" + std::to_string(kVersion) + ";COMMIT";
  const int rc = connection.execute(sql.c_str());
  if (rc == SQLITE_OK) return {};
  core::SqliteFailure failure = connection.failure(rc, "cannot make the tables");
  connection.roll_back();
  return failure;
}

std::string quoted(const char* text) { return std::string("'") + text + '\''; }

// murmur3's finaliser: every bit of the input reaches every bit of the output.
std::uint64_t mixed(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

std::uint64_t word_at(const std::uint8_t* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

}  // namespace

core::SqliteFailure prepare_schema(core::SqliteConnection& connection) {
  const Answer application = ask(connection, "PRAGMA application_id");
  if (application.failure.failed()) return application.failure;
  const Answer version = ask(connection, "PRAGMA user_version");
  if (version.failure.failed()) return version.failure;
  const Answer objects = ask(connection, "SELECT count(*) FROM sqlite_schema");
  if (objects.failure.failed()) return objects.failure;

  if (application.number == 0 && version.number == 0 && objects.number == 0) {
    return make_schema(connection);
  }
  if (application.number != kApplicationId) {
    return {core::SqliteTrouble::kForeign,
            "the database belongs to another application, left as it is"};
  }
  if (version.number > kVersion) {
    return {core::SqliteTrouble::kForeign,
            "the database has schema version " + std::to_string(version.number) +
                ", this library knows up to " + std::to_string(kVersion) + ", left as it is"};
  }
  const Answer ours = ask(connection, "SELECT count(*) FROM sqlite_schema WHERE sql IN (" +
                                          quoted(kTable) + ',' + quoted(kIndex) + ')');
  if (ours.failure.failed()) return ours.failure;
  if (version.number != kVersion || ours.number != 2) {
    return {core::SqliteTrouble::kDamaged, "the database has not the tables it should have"};
  }
  return use_wal(connection);
}

std::uint32_t seal_of(const EntryKey& key, std::uint32_t tokens, Tier tier,
                      std::int64_t expires_at) {
  std::uint64_t seal = mixed(word_at(key.scope.data() + 8));
  for (std::size_t at = 0; at < key.hash.size(); at += 8) {
    seal = mixed(seal ^ word_at(key.hash.data() + at));
  }
  seal = mixed(seal ^ (std::uint64_t{tokens} << 8 | static_cast<std::uint8_t>(tier)));
  seal = mixed(seal ^ static_cast<std::uint64_t>(expires_at));
  return static_cast<std::uint32_t>(seal);
}

std::optional<Entry> entry_of_row(const core::SqliteStatement& row, const EntryKey& key) {
  if (!std::ranges::equal(row.bytes(0), key.scope)) return std::nullopt;
  if (!std::ranges::equal(row.bytes(1), key.hash)) return std::nullopt;
  const std::int64_t tokens = row.integer(2);
  const std::int64_t tier = row.integer(3);
  if (tokens < 0 || tokens > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  if (tier < 0 || tier >= kTierCount) return std::nullopt;
  const Entry entry{key.hash, static_cast<std::uint32_t>(tokens), static_cast<Tier>(tier),
                    row.integer(4)};
  const std::uint32_t seal =
      seal_of(key, entry.cumulative_token_count, entry.tier, entry.expires_at);
  if (row.integer(5) != std::int64_t{seal}) return std::nullopt;
  return entry;
}

}  // namespace satchel::prompt_cache
