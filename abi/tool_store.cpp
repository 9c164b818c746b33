#include "tool_store.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "core/blake3.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/meta.hpp"
#include "tool_input.hpp"

// What callbacks fill: they live on the stack of the call that asks.
struct satchel_stored_answer {
  bool set = false;
  bool out_of_memory = false;  // it was given, and not taken
  std::string payload;
  std::string meta;
};
struct satchel_keys_answer {
  struct Entry {
    satchel::tool_cache::Key key;
    satchel::tool_cache::Meta meta;
  };
  bool with_meta = false;
  bool out_of_memory = false;  // something was not taken: the list is not to be relied on
  std::vector<Entry> entries;
};

namespace satchel::abi {

using core::Error;
using core::Ok;
using core::Result;
using core::Status;
using tool_cache::Encoding;
using tool_cache::Key;
using tool_cache::Meta;
using tool_cache::Payload;
using tool_cache::PayloadWriter;
using tool_cache::Stored;

namespace {

using Table = std::shared_ptr<HostTable<satchel_tool_store>>;

thread_local ContainsFailure* contains_failure = nullptr;

std::string payload_hash(std::string_view payload) {
  const core::Hash256 hash = core::blake3(payload);
  return core::hex(hash.data(), hash.size());
}

Result<std::shared_ptr<const Meta>> persist_in(const satchel_tool_store& table, const Key& key,
                                               std::string_view payload, Meta meta) {
  meta.payload_hash = payload_hash(payload);
  meta.bytes = payload.size();
  meta.encoding = Encoding::kPlain;
  auto stored = std::make_shared<const Meta>(std::move(meta));
  const std::string hex = key.hex();
  const std::string text = tool_cache::write_meta(*stored);
  Result<void> done = answered("tool_store.persist",
                               table.persist(table.user, hex.data(), hex.size(), payload.data(),
                                             payload.size(), text.data(), text.size()));
  if (!done) return done.take_error();
  return stored;
}

class MemoryPayload final : public Payload {
 public:
  explicit MemoryPayload(std::string bytes) : bytes_(std::move(bytes)) {}

  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  Result<std::size_t> read(std::uint64_t offset, char* out, std::size_t capacity) override {
    if (offset >= bytes_.size()) return std::size_t{0};
    const std::size_t got = std::min(capacity, bytes_.size() - static_cast<std::size_t>(offset));
    if (got != 0) std::memcpy(out, bytes_.data() + offset, got);
    return got;
  }
  Result<std::string_view> view() override { return std::string_view(bytes_); }

 private:
  const std::string bytes_;
};

class MemoryWriter final : public PayloadWriter {
 public:
  MemoryWriter(Table table, const Key& key) : table_(std::move(table)), key_(key) {}

  Result<void> write(std::string_view bytes) override {
    bytes_.append(bytes);
    return Ok{};
  }
  Result<std::shared_ptr<const Meta>> commit(Meta meta) override {
    return persist_in(**table_, key_, bytes_, std::move(meta));
  }

 private:
  const Table table_;
  const Key key_;
  std::string bytes_;
};

class HostStore final : public tool_cache::Store {
 public:
  explicit HostStore(Table table) : table_(std::move(table)) {}

  Result<void> persist(const Key& key, std::string_view payload, Meta meta) override {
    Result<std::shared_ptr<const Meta>> stored =
        persist_in(**table_, key, payload, std::move(meta));
    if (!stored) return stored.take_error();
    return Ok{};
  }

  Result<std::unique_ptr<PayloadWriter>> begin(const Key& key) override {
    return std::unique_ptr<PayloadWriter>(std::make_unique<MemoryWriter>(table_, key));
  }

  Result<Stored> lookup(const Key& key) override {
    const std::string hex = key.hex();
    satchel_stored_answer answer;
    const satchel_status status = host().lookup(host().user, hex.data(), hex.size(), &answer);
    Result<void> asked = taken("tool_store.lookup", status, answer.out_of_memory);
    if (!asked) return asked.take_error();
    if (!answer.set) return Stored{};
    Result<Meta> meta = tool_cache::read_meta(answer.meta);
    if (!meta) return meta.take_error();
    if (meta->encoding != Encoding::kPlain) {
      return Error{Status::kMeta, "the meta of " + hex + " names an encoding of the payload", 0, 0};
    }
    if (meta->payload_hash != payload_hash(answer.payload)) {
      return Error{Status::kIntegrity, "the payload of " + hex + " does not match its hash", 0, 0};
    }
    return Stored{std::make_shared<const Meta>(std::move(*meta)),
                  std::make_shared<MemoryPayload>(std::move(answer.payload))};
  }

  Result<bool> remove(const Key& key) override {
    const std::string hex = key.hex();
    std::int32_t removed = 0;
    Result<void> asked =
        answered("tool_store.remove", host().remove(host().user, hex.data(), hex.size(), &removed));
    if (!asked) return asked.take_error();
    return removed != 0;
  }

  bool contains(const Key& key) override {
    const std::string hex = key.hex();
    std::int32_t present = 0;
    Result<void> asked = answered("tool_store.contains",
                                  host().contains(host().user, hex.data(), hex.size(), &present));
    if (asked) return present != 0;
    if (contains_failure != nullptr) contains_failure->error = asked.take_error();
    return false;
  }

  Result<std::uint64_t> total_bytes() override {
    std::uint64_t bytes = 0;
    Result<void> asked =
        answered("tool_store.total_bytes", host().total_bytes(host().user, &bytes));
    if (!asked) return asked.take_error();
    return bytes;
  }

  Result<std::vector<Key>> evict_to_cap(std::uint64_t cap) override {
    satchel_keys_answer answer;
    const satchel_status status = host().evict_to_cap(host().user, cap, &answer);
    Result<void> asked = taken("tool_store.evict_to_cap", status, answer.out_of_memory);
    if (!asked) return asked.take_error();
    std::vector<Key> removed;
    removed.reserve(answer.entries.size());
    for (const satchel_keys_answer::Entry& entry : answer.entries) removed.push_back(entry.key);
    return removed;
  }

  // Nothing is visited of a list that is not whole.
  Result<void> iterate(const std::function<void(const Key&, const Meta&)>& visit) override {
    satchel_keys_answer answer;
    answer.with_meta = true;
    const satchel_status status = host().iterate(host().user, &answer);
    Result<void> asked = taken("tool_store.iterate", status, answer.out_of_memory);
    if (!asked) return asked;
    for (const satchel_keys_answer::Entry& entry : answer.entries) visit(entry.key, entry.meta);
    return Ok{};
  }

 private:
  [[nodiscard]] const satchel_tool_store& host() const { return **table_; }

  // Whatever the host made of it: an answer that we had no memory for is our failure.
  static Result<void> taken(const char* callback, satchel_status status, bool out_of_memory) {
    if (!out_of_memory) return answered(callback, status);
    return Error{Status::kMemory, std::string("no memory for the answer of ") + callback, 0, 0};
  }

  const Table table_;
};

}  // namespace

ContainsFailure::ContainsFailure() : outer_(std::exchange(contains_failure, this)) {}
ContainsFailure::~ContainsFailure() { contains_failure = outer_; }

Result<std::unique_ptr<tool_cache::Store>> take_tool_store(const satchel_tool_store* table) {
  if (Result<void> checked = check_input_struct(table, sizeof *table, "host_store"); !checked) {
    return checked.take_error();
  }
  Table taken = take_table(*table);
  const satchel_tool_store& host = **taken;
  if (host.persist == nullptr || host.lookup == nullptr || host.remove == nullptr ||
      host.contains == nullptr || host.iterate == nullptr || host.total_bytes == nullptr ||
      host.evict_to_cap == nullptr) {
    return argument_error("host_store", "has some of its members only; it needs all of them");
  }
  return std::unique_ptr<tool_cache::Store>(std::make_unique<HostStore>(std::move(taken)));
}

}  // namespace satchel::abi

namespace abi = satchel::abi;
using satchel::core::Result;
using satchel::core::Status;
using satchel::tool_cache::Key;
using satchel::tool_cache::Meta;

extern "C" {

void satchel_tool_store_init(satchel_tool_store* store) {
  if (store != nullptr) *store = SATCHEL_TOOL_STORE_INIT;
}

satchel_status satchel_stored_set(satchel_stored_answer* answer, const char* payload,
                                  size_t payload_len, const char* meta, size_t meta_len) {
  const satchel_status status = abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    const Result<std::string_view> bytes = abi::bytes_of(payload, payload_len, "payload");
    if (!bytes) return bytes.error();
    const Result<std::string_view> text = abi::bytes_of(meta, meta_len, "meta");
    if (!text) return text.error();
    answer->payload = *bytes;
    answer->meta = *text;
    answer->set = true;
    return Status::kOk;
  });
  if (status == SATCHEL_ERR_MEMORY) answer->out_of_memory = true;
  return status;
}

satchel_status satchel_keys_add(satchel_keys_answer* answer, const char* key, size_t key_len,
                                const char* meta, size_t meta_len) {
  const satchel_status status = abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    const Result<std::string_view> text = abi::bytes_of(meta, meta_len, "meta");
    if (!text) return text.error();
    satchel_keys_answer::Entry entry{*parsed, {}};
    if (answer->with_meta) {
      Result<Meta> read = satchel::tool_cache::read_meta(*text);
      if (!read) return Status::kOk;  // as an entry of the directory: passed over
      entry.meta = std::move(*read);
    }
    answer->entries.push_back(std::move(entry));
    return Status::kOk;
  });
  if (status == SATCHEL_ERR_MEMORY) answer->out_of_memory = true;
  return status;
}

}  // extern "C"
