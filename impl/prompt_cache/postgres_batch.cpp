#include "prompt_cache/postgres_batch.hpp"

#include <algorithm>
#include <limits>

#include "prompt_cache/postgres_key.hpp"
#include "prompt_cache/postgres_values.hpp"

namespace satchel::prompt_cache {
namespace {

std::string_view bytes_of(const core::Uuid& uuid) {
  return {reinterpret_cast<const char*>(uuid.data()), uuid.size()};
}
std::string_view bytes_of(const PrefixHash& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

// The columns of the unique key, as arrays.
struct Keys {
  PostgresArray principals{PostgresType::kUuid};
  PostgresArray models{PostgresType::kText};
  PostgresArray tokenizer_versions{PostgresType::kText};
  PostgresArray hashes{PostgresType::kBytea};

  template <class Key>
  void add(const Key& key) {
    principals.add(bytes_of(key.principal));
    models.add(key.model);
    tokenizer_versions.add(key.tokenizer_version);
    hashes.add(bytes_of(key.hash));
  }
  [[nodiscard]] std::vector<std::string> encoded() const {
    return {principals.encoded(), models.encoded(), tokenizer_versions.encoded(), hashes.encoded()};
  }
};

// The column is an int4; the reference cuts likewise.
std::int32_t cut(std::uint32_t tokens) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(std::min(tokens, kMost));
}

}  // namespace

PostgresBatch::PostgresBatch(std::span<const PendingCommit* const> commits) {
  for (const PendingCommit* commit : commits) {
    Key key{principal_uuid(commit->scope.principal), commit->scope.model,
            commit->scope.tokenizer_version};
    for (const Entry& entry : commit->writes) {
      key.hash = entry.hash;
      Change& change = changes_[key];
      if (!change.upsert) ++upserts_;
      change.upsert = entry;
      ++written_;
    }
    if (!commit->refresh) continue;
    key.hash = commit->refresh->hash;
    Change& change = changes_[key];
    if (change.upsert) {
      change.upsert->expires_at = commit->refresh->expires_at;
      ++refreshed_in_upserts_;
      continue;
    }
    if (!change.refreshed_to) ++refreshes_;
    change.refreshed_to = commit->refresh->expires_at;
  }
}

std::vector<std::string> PostgresBatch::refreshes(const PostgresClock& clock) const {
  Keys keys;
  PostgresArray expiries(PostgresType::kTimestamptz);
  for (const auto& [key, change] : changes_) {
    if (!change.refreshed_to) continue;
    keys.add(key);
    expiries.add(postgres_int8(clock.expiry(*change.refreshed_to)));
  }
  std::vector<std::string> values = keys.encoded();
  values.push_back(expiries.encoded());
  return values;
}

std::vector<std::string> PostgresBatch::upserts(const PostgresClock& clock) const {
  Keys keys;
  PostgresArray tokens(PostgresType::kInt4);
  PostgresArray tiers(PostgresType::kText);
  PostgresArray expiries(PostgresType::kTimestamptz);
  for (const auto& [key, change] : changes_) {
    if (!change.upsert) continue;
    keys.add(key);
    tokens.add(postgres_int4(cut(change.upsert->cumulative_token_count)));
    tiers.add(tier_name(change.upsert->tier));
    expiries.add(postgres_int8(clock.expiry(change.upsert->expires_at)));
  }
  std::vector<std::string> values = keys.encoded();
  values.push_back(tokens.encoded());
  values.push_back(tiers.encoded());
  values.push_back(expiries.encoded());
  return values;
}

}  // namespace satchel::prompt_cache
