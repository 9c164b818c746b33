// Statistics, listings, and why an entry is served or not. docs/tool-cache.md has the members.
#include <array>
#include <limits>
#include <utility>

#include "core/json_writer.hpp"
#include "core/metrics.hpp"
#include "tool_cache/tool_cache_impl.hpp"

namespace satchel::tool_cache {

using core::JsonWriter;
using core::Result;
using core::Status;

namespace {

struct NamedCount {
  const char* name;
  const char* meaning;
  std::uint64_t value;
};

auto counts_of(const Counters& counters, const FingerprintCounts& fingerprints) {
  return std::array<NamedCount, 26>{{
      {"hits", "Lookups answered with a stored result.", counters.hits},
      {"misses", "Lookups that found no entry.", counters.misses},
      {"invalidated", "Lookups that found an entry with a changed root.", counters.invalidated},
      {"integrity_errors", "Lookups that found a payload other than its hash.",
       counters.integrity_errors},
      {"meta_errors", "Lookups that found a meta file nobody can read.", counters.meta_errors},
      {"io_errors", "Lookups that the operating system refused.", counters.io_errors},
      {"persisted", "Results stored.", counters.persisted},
      {"persist_errors", "Results that could not be stored.", counters.persist_errors},
      {"not_stored", "Results not stored because a root changed or a lease passed on.",
       counters.not_stored},
      {"dropped", "Entries dropped by invalidation.", counters.dropped},
      {"evicted", "Entries removed to keep the bounds.", counters.evicted},
      {"swept", "Files removed that crashed processes had left.", counters.swept},
      {"leases", "Calls that were told to compute.", counters.leases},
      {"waits", "Calls that found somebody else computing.", counters.waits},
      {"bytes_served", "Payload bytes of hits.", counters.bytes_served},
      {"fingerprints_remembered", "Fingerprints answered without reading the file.",
       fingerprints.remembered},
      {"fingerprints_hashed", "Fingerprints computed.", fingerprints.hashed},
      {"bytes_hashed", "Bytes read for fingerprints.", fingerprints.bytes_hashed},
      {"remote_hits", "Hits that came from the shared remote.", counters.remote_hits},
      {"remote_misses", "Lookups that the shared remote had nothing for.", counters.remote_misses},
      {"remote_stale", "Lookups for which the shared remote had a result of other files.",
       counters.remote_stale},
      {"remote_refused", "Entries of the shared remote that were not believed.",
       counters.remote_refused},
      {"remote_unasked",
       "Lookups that did not wait for the shared remote, because it was away or had yet to learn "
       "of an invalidation.",
       counters.remote_unasked},
      {"remote_errors", "Requests that the shared remote did not answer as it should.",
       counters.remote_errors},
      {"remote_stored", "Results passed on to the shared remote.", counters.remote_stored},
      {"remote_dropped", "Results and invalidations not passed on to the shared remote.",
       counters.remote_dropped},
  }};
}

void write_totals(JsonWriter& json, const KindTotals& totals) {
  json.key("entries").number(totals.entries).key("bytes").number(totals.bytes);
  json.key("disk_bytes").number(totals.disk_bytes);
}

}  // namespace

Result<std::uint64_t> ToolCache::Impl::entry_count() {
  const Result<KnownEntries::Totals> totals = known_.totals();
  if (!totals) return totals.error();
  return totals->entries;
}

Result<std::vector<std::string>> ToolCache::Impl::known_kinds() {
  const Result<KnownEntries::Totals> totals = known_.totals();
  if (!totals) return totals.error();
  std::vector<std::string> kinds;
  for (const auto& [kind, entries] : totals->kinds) kinds.push_back(kind);
  return kinds;
}

Result<std::string> ToolCache::Impl::stats_json() {
  if (Result<void> refreshed = index_->refresh(); !refreshed) return refreshed.take_error();
  const Result<std::map<std::string, KindTotals>> kinds =
      index_->totals(std::numeric_limits<std::int64_t>::max());
  if (!kinds) return kinds.error();
  const Result<std::int64_t> oldest = index_->oldest_written_ns();
  if (!oldest) return oldest.error();
  KindTotals all;
  for (const auto& [kind, totals] : *kinds) {
    all.entries += totals.entries;
    all.bytes += totals.bytes;
    all.disk_bytes += totals.disk_bytes;
  }
  JsonWriter json;
  json.begin_object().key("store").text(store_path_).key("workspace").text(workspace_);
  json.key("index").text(index_->describe());
  write_totals(json, all);
  json.key("kinds").begin_object();
  for (const auto& [kind, totals] : *kinds) {
    write_totals(json.key(kind).begin_object(), totals);
    json.end_object();
  }
  json.end_object().key("oldest_written_ns");
  if (all.entries == 0) {
    json.null();
  } else {
    json.number(*oldest);
  }
  json.key("process").begin_object();
  for (const NamedCount& count : counts_of(counters_, fingerprints_->counts())) {
    json.key(count.name).number(count.value);
  }
  return json.end_object().end_object().take();
}

std::string ToolCache::Impl::metrics() {
  core::MetricsText out("satchel_tool_cache_");
  for (const NamedCount& count : counts_of(counters_, fingerprints_->counts())) {
    out.counter(std::string(count.name) + "_total", count.meaning, count.value);
  }
  return out.take();
}

Result<std::string> ToolCache::Impl::list_json(std::optional<Key> after, std::string_view kind,
                                               std::size_t limit) {
  if (!after) {
    if (Result<void> refreshed = index_->refresh(); !refreshed) return refreshed.take_error();
    flush_uses();
  }
  const Result<std::vector<IndexedEntry>> page = index_->page(after, kind, limit);
  if (!page) return page.error();
  JsonWriter json;
  json.begin_array();
  for (const IndexedEntry& entry : *page) {
    json.begin_object().key("key").text(entry.key.hex()).key("kind").text(entry.tool_kind);
    json.key("bytes").number(entry.bytes).key("disk_bytes").number(entry.disk_bytes);
    json.key("written_ns").number(entry.written_ns).key("used_ns").number(entry.used_ns);
    json.end_object();
  }
  return json.end_array().take();
}

Result<std::string> ToolCache::Impl::why_json(const Key& key) {
  const Result<Stored> stored = store_->lookup(key);
  JsonWriter json;
  json.begin_object().key("key").text(key.hex());
  json.key("known").boolean(known_.find(key) != nullptr).key("roots").begin_array();
  bool fresh = true;
  if (stored && stored->meta != nullptr) {
    for (const Root& root : stored->meta->file_roots) {
      const Result<std::string> now =
          fingerprints_->current(resolve(root.path), form_of(root.expected_hash));
      const bool same = now && *now == root.expected_hash;
      fresh = fresh && same;
      json.begin_object().key("path").text(root.path).key("expected").text(root.expected_hash);
      json.key("current");
      if (now) {
        json.text(*now);
      } else {
        json.null().key("error").text(now.error().message);
      }
      json.key("fresh").boolean(same).end_object();
    }
  }
  json.end_array().key("upstreams").begin_array();
  if (stored && stored->meta != nullptr) {
    for (const std::string& upstream : stored->meta->upstream_keys) {
      const std::optional<Key> of = Key::of_name(upstream);
      json.begin_object().key("key").text(upstream);
      json.key("present").boolean(of && store_->contains(*of)).end_object();
    }
  }
  json.end_array();
  if (stored && stored->meta != nullptr) {
    json.key("kind").text(stored->meta->tool_kind).key("bytes").number(stored->meta->bytes);
    json.key("state").text(fresh ? "fresh" : "stale");
  } else if (stored) {
    const bool half = files_ != nullptr && (files_->meta_stamp(key) || files_->payload_stamp(key));
    json.key("state").text(half ? "half" : "missing");
  } else if (stored.error().status == Status::kIntegrity) {
    json.key("state").text("integrity_error").key("error").text(stored.error().message);
  } else if (stored.error().status == Status::kMeta) {
    json.key("state").text("meta_error").key("error").text(stored.error().message);
  } else {
    return stored.error();
  }
  return json.end_object().take();
}

}  // namespace satchel::tool_cache
