// toolcache_traces: operations in order over one store, what each answered, and the files at the
// end.
#include <filesystem>
#include <map>

#include "forms.hpp"
#include "scratch_directory.hpp"

namespace vectors {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWorkspace = "$WS";

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// A lookup's answer, in one line.
std::string hit(std::string_view kind, std::string_view payload) {
  return "hit, kind \"" + std::string(kind) + "\": " + std::string(payload);
}

std::string expected_lookup(Json is) {
  if (is.is_string()) return std::string(is.get_string().value());
  return hit(required_bytes(is, "kind"), required_bytes(is, "hit"));
}

std::string shown(const satchel::ToolLookup& found) {
  switch (found.answer) {
    case satchel::ToolLookup::Answer::kHit:
      return hit(satchel::text(found.result->info().kind), found.result->payload());
    case satchel::ToolLookup::Answer::kMiss:
      return "miss";
    case satchel::ToolLookup::Answer::kInvalidated:
      return "invalidated";
  }
  return "";
}

template <class Lookup>
std::string got_lookup(Lookup&& lookup) {
  std::string got;
  if (const auto error = thrown_by([&] { got = shown(lookup()); })) {
    if (error->status() == SATCHEL_ERR_INTEGRITY) return "integrity_error";
    if (error->status() == SATCHEL_ERR_META) return "meta_error";
    throw *error;
  }
  return got;
}

class Trace {
 public:
  Trace(const satchel::Library& library, Verdict& verdict)
      : library_(library),
        verdict_(verdict),
        workspace_(made(scratch_.path() / "workspace")),
        store_(scratch_.path() / "store"),
        elsewhere_(made(scratch_.path() / "empty")) {
    open();
  }

  // The operation's name decides; false for one that is not known.
  bool run(Json operation) {
    const std::string name = required_bytes(operation, "op");
    if (name == "reopen") {
      cache_.reset();
      open();
    } else if (name == "stats") {
      stats(operation);
    } else if (present(operation, "path")) {
      return run_on_path(name, operation, required_bytes(operation, "path"));
    } else {
      return run_on_key(name, operation, satchel::tool_key(required_bytes(operation, "key")));
    }
    return true;
  }

  void compare_store(Json after) {
    cache_.reset();
    std::map<std::string, std::string> expected;
    const simdjson::dom::object files = after.get_object().value();
    for (const auto& [name, content] : files) {
      expected.emplace(name, content.get_string().value());
    }
    std::map<std::string, std::string> got;
    for (fs::recursive_directory_iterator at(store_), end; at != end; ++at) {
      if (at->path().filename() == ".satchel") {
        at.disable_recursion_pending();
      } else if (at->is_regular_file()) {
        got.emplace(fs::relative(at->path(), store_).string(), read_file(at->path()));
      }
    }
    for (const auto& [name, content] : expected) {
      if (!got.contains(name)) verdict_.fail("store_after", name + " is missing");
    }
    for (const auto& [name, content] : got) {
      const auto found = expected.find(name);
      if (found == expected.end()) {
        verdict_.fail("store_after", name + " should not be there");
      } else {
        verdict_.equal("store_after " + name, comparable(found->second), comparable(content));
      }
    }
    verdict_.equal("store_after, files", expected.size(), got.size());
  }

 private:
  static fs::path made(const fs::path& directory) {
    fs::create_directory(directory);
    return directory;
  }

  void open() {
    satchel::ToolPlace place;
    place.store = store_.string();
    place.workspace = workspace_.string();
    cache_.emplace(library_, std::move(place));
  }

  // Metas by their canonical form, the workspace under its name; all else as bytes.
  [[nodiscard]] std::string comparable(const std::string& content) const {
    const std::string named = replaced(content, workspace_.string(), kWorkspace);
    std::string json;
    if (named.starts_with('{') && !thrown_by([&] { json = canonical(named); })) return json;
    return content;
  }

  bool run_on_path(const std::string& name, Json operation, const std::string& path) {
    const fs::path file = workspace_ / path;
    if (name == "write_file") {
      write_file(file, required_bytes(operation, "text"));
      const JsonArray mtime = array(operation, "mtime");
      set_mtime(file, mtime.at(0).get_int64(), mtime.at(1).get_int64());
    } else if (name == "delete_file") {
      fs::remove(file);
    } else if (name == "invalidate_path") {
      verdict_.equal("is", unsigned_integer(operation, "is"),
                     cache_->invalidate_path(file.string()));
    } else {
      return false;
    }
    return true;
  }

  bool run_on_key(const std::string& name, Json operation, const std::string& key) {
    if (name == "persist") {
      persist(operation, key);
    } else if (name == "lookup") {
      verdict_.equal("is", expected_lookup(operation["is"]),
                     got_lookup([&] { return cache_->lookup(key); }));
    } else if (name == "lookup_revalidate") {
      verdict_.equal("is", expected_lookup(operation["is"]),
                     got_lookup([&] { return cache_->lookup_revalidate(key); }));
    } else if (name == "contains") {
      verdict_.equal("is", boolean(operation, "is"), cache_->contains(key));
    } else if (name == "mark_dirty") {
      cache_->mark_dirty(key);
    } else if (name == "invalidate_upstream") {
      verdict_.equal("is", unsigned_integer(operation, "is"), cache_->invalidate_upstream(key));
    } else {
      return damage(name, store_ / key.substr(0, 2) / key);
    }
    return true;
  }

  static bool damage(const std::string& name, const fs::path& entry) {
    const fs::path payload = entry.string() + ".payload";
    const fs::path meta = entry.string() + ".meta.json";
    if (name == "drop_payload") {
      fs::remove(payload);
    } else if (name == "drop_meta") {
      fs::remove(meta);
    } else if (name == "corrupt_payload") {
      if (fs::exists(payload)) write_file(payload, "garbage");
    } else if (name == "corrupt_meta") {
      if (fs::exists(meta)) write_file(meta, "{\"bytes\":");
    } else {
      return false;
    }
    return true;
  }

  void persist(Json operation, const std::string& key) {
    satchel::ToolMeta meta;
    meta.kind = required_bytes(operation, "kind");
    for (const Json root : array(operation, "roots")) {
      meta.roots.push_back({replaced(required_bytes(root, "path"), kWorkspace, workspace_.string()),
                            required_bytes(root, "expected_hash")});
    }
    for (const Json upstream : array(operation, "upstreams")) {
      meta.upstreams.push_back(satchel::tool_key(upstream.get_string().value()));
    }
    const auto error =
        thrown_by([&] { cache_->persist(key, required_bytes(operation, "text"), meta); });
    verdict_.equal("ok", std::string_view(boolean(operation, "ok") ? "OK" : "an error"),
                   std::string_view(error ? error->status_name() : "OK"));
  }

  void stats(Json operation) {
    verdict_.equal("entry_count", unsigned_integer(operation, "entry_count"),
                   cache_->entry_count());
    verdict_.equal("known_kinds", canonical(simdjson::minify(operation["known_kinds"])),
                   canonical(cache_->known_kinds()));
  }

  const satchel::Library& library_;
  Verdict& verdict_;
  const ScratchDirectory scratch_;
  const fs::path workspace_;
  const fs::path store_;
  const WorkingDirectory elsewhere_;  // empty: no path is found by accident
  std::optional<satchel::ToolCache> cache_;
};

// Stops at the first operation that differs, since later ones build on it.
void compare_trace(Verdict& verdict, Json test_case, const satchel::Library& library) {
  Trace trace(library, verdict);
  std::size_t number = 0;
  for (const Json operation : array(test_case, "ops")) {
    verdict.set_context("operation " + std::to_string(number++) + " " +
                        simdjson::minify(operation) + ": ");
    if (!trace.run(operation))
      throw std::runtime_error("operation " + std::to_string(number - 1) + " is not known");
    if (!verdict.problems().empty()) return;
  }
  verdict.set_context("");
  trace.compare_store(test_case["store_after"].value());
}

bool recognises(Json root) {
  return is_list_of(root, [](Json first) { return member(first, "ops").has_value(); });
}

Tally run(Json root, const satchel::Library& library, const Options& /*options*/) {
  Tally tally;
  std::size_t number = 0;
  for (const Json test_case : array(root)) {
    compare(tally, "trace " + std::to_string(number++),
            [&](Verdict& verdict) { compare_trace(verdict, test_case, library); });
  }
  return tally;
}

}  // namespace

const Form kToolcacheTraces = {"toolcache_traces", recognises, run};

}  // namespace vectors
