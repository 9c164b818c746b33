#include "host_index.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "prompt_cache/entry_key.hpp"

// What a callback fills: it lives on the stack of the call that asks.
struct satchel_index_answer {
  std::vector<satchel::prompt_cache::Entry> entries;
  bool out_of_memory = false;  // something was not taken: the answer is not to be relied on
};

namespace satchel::abi {

using core::Error;
using core::Result;
using core::Status;
using prompt_cache::Entry;
using prompt_cache::PendingCommit;
using prompt_cache::PrefixHash;
using prompt_cache::Scope;

namespace {

using Table = std::shared_ptr<HostTable<satchel_index>>;

satchel_scope scope_for_host(const Scope& scope) {
  satchel_scope host = {sizeof host,
                        view_of(scope.principal),
                        view_of(scope.model),
                        view_of(scope.tokenizer_version),
                        {0}};
  const prompt_cache::ScopeId id = prompt_cache::scope_id(scope);
  std::copy(id.begin(), id.end(), host.id);
  return host;
}

satchel_entry entry_for_host(const Entry& entry) {
  satchel_entry host = SATCHEL_ENTRY_INIT;
  std::copy(entry.hash.begin(), entry.hash.end(), host.hash);
  host.cumulative_token_count = entry.cumulative_token_count;
  host.expires_at = entry.expires_at;
  host.tier = static_cast<std::int32_t>(entry.tier);
  return host;
}

bool worth_another_try(satchel_status status) {
  return status == SATCHEL_ERR_BUSY || status == SATCHEL_ERR_IO || status == SATCHEL_ERR_TIMEOUT ||
         status == SATCHEL_ERR_UNAVAILABLE;
}

class HostIndex final : public prompt_cache::IndexBackend {
 public:
  explicit HostIndex(Table table) : table_(std::move(table)) {}

  [[nodiscard]] const std::string& name() const override { return name_; }

  Result<std::vector<Entry>> find(const Scope& scope, std::span<const PrefixHash> candidates,
                                  std::int64_t live_after) override {
    static_assert(sizeof(PrefixHash) == 32);
    const satchel_scope host_scope = scope_for_host(scope);
    satchel_index_answer answer;
    const satchel_status status = host().find(host().user, &host_scope, candidates.front().data(),
                                              candidates.size(), live_after, &answer);
    if (status == SATCHEL_ERR_BUSY) return Error{Status::kBusy, "index.find answered ERR_BUSY"};
    if (Result<void> asked = answered("index.find", status); !asked) return asked.take_error();
    if (answer.out_of_memory) {
      return Error{Status::kMemory, "no memory for the answer of index.find"};
    }
    // What was not asked for, or is over, must not become a hit.
    std::erase_if(answer.entries, [&](const Entry& entry) {
      return entry.expires_at <= live_after ||
             std::find(candidates.begin(), candidates.end(), entry.hash) == candidates.end();
    });
    return std::move(answer.entries);
  }

  Written write(std::span<const PendingCommit* const> commits) override {
    Written written;
    for (const PendingCommit* commit : commits) {
      std::int32_t refreshed = 0;
      const satchel_status status = commit_one(*commit, &refreshed);
      if (status != SATCHEL_OK) {
        written.outcome = worth_another_try(status) ? Outcome::kAgain : Outcome::kRefused;
        written.why = answered("index.commit", status).take_error();
        return written;
      }
      written.written += commit->writes.size();
      written.refreshed += commit->refresh && refreshed != 0 ? 1 : 0;
    }
    return written;
  }

  Result<void> clear() override {
    if (host().clear == nullptr) {
      return Error{Status::kUnavailable, "the host's index has no call to clear it"};
    }
    return answered("index.clear", host().clear(host().user));
  }

 private:
  [[nodiscard]] const satchel_index& host() const { return **table_; }

  satchel_status commit_one(const PendingCommit& pending, std::int32_t* refreshed) {
    const satchel_scope scope = scope_for_host(pending.scope);
    std::vector<satchel_entry> entries;
    entries.reserve(pending.writes.size());
    for (const Entry& entry : pending.writes) entries.push_back(entry_for_host(entry));
    satchel_commit commit = {sizeof commit, &scope, entries.data(), entries.size(), nullptr, 0};
    if (pending.refresh) {
      commit.refresh_hash = pending.refresh->hash.data();
      commit.refresh_expires_at = pending.refresh->expires_at;
    }
    return host().commit(host().user, &commit, refreshed);
  }

  const Table table_;
  const std::string name_ = "the host's index";
};

}  // namespace

std::unique_ptr<prompt_cache::IndexBackend> make_host_index(Table table) {
  return std::make_unique<HostIndex>(std::move(table));
}

}  // namespace satchel::abi

namespace abi = satchel::abi;
using satchel::core::Result;
using satchel::core::Status;

extern "C" {

void satchel_index_init(satchel_index* index) {
  if (index != nullptr) *index = SATCHEL_INDEX_INIT;
}

satchel_status satchel_index_add(satchel_index_answer* answer, const satchel_entry* entry) {
  const satchel_status status = abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    Result<void> checked = abi::check_input_struct(entry, sizeof *entry, "entry");
    if (!checked) return checked.take_error();
    if (entry->tier < SATCHEL_TIER_5M || entry->tier > SATCHEL_TIER_24H) {
      return abi::argument_error("entry.tier", "is no SATCHEL_TIER_*");
    }
    if (entry->cumulative_token_count > std::numeric_limits<std::uint32_t>::max()) {
      return abi::argument_error("entry.cumulative_token_count", "is beyond 32 bits");
    }
    satchel::prompt_cache::Entry found;
    std::copy(std::begin(entry->hash), std::end(entry->hash), found.hash.begin());
    found.cumulative_token_count = static_cast<std::uint32_t>(entry->cumulative_token_count);
    found.tier = static_cast<satchel::prompt_cache::Tier>(entry->tier);
    found.expires_at = entry->expires_at;
    answer->entries.push_back(found);
    return Status::kOk;
  });
  if (status == SATCHEL_ERR_MEMORY && answer != nullptr) answer->out_of_memory = true;
  return status;
}

}  // extern "C"
