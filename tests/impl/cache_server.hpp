// The reference's cache server, as far as a client sees it: entries by key, over HTTP, for one
// token. It can also misbehave. (tests/interplay has the real one.)
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "core/json_tape.hpp"
#include "core/json_writer.hpp"
#include "https_server.hpp"

namespace satchel::tool_cache {

class CacheServer {
 public:
  static constexpr const char* kToken = "token-of-the-team";

  CacheServer() : server_([this](const auto& request, auto& to) { return serve(request, to); }) {
    server_.start();
  }

  [[nodiscard]] std::string url() const { return server_.origin(); }
  [[nodiscard]] std::size_t requests() const { return server_.requests().size(); }
  [[nodiscard]] core::ServedRequest last() const { return server_.requests().back(); }
  [[nodiscard]] std::size_t entries() const {
    const std::lock_guard lock(mutex_);
    return hits_.size();
  }
  // The answer to lookups of `key`, whole.
  void put(const std::string& key, const std::string& answer) {
    const std::lock_guard lock(mutex_);
    hits_[key] = answer;
  }
  [[nodiscard]] std::string answer(const std::string& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = hits_.find(key);
    return found == hits_.end() ? R"({"kind":"miss"})" : found->second;
  }
  // Instead of all answers, until it is empty again.
  void misbehave(std::function<bool(core::ServedConnection&)> how) {
    const std::lock_guard lock(mutex_);
    how_ = std::move(how);
  }
  // Before lookups are answered.
  void before_lookup(std::function<void()> what) {
    const std::lock_guard lock(mutex_);
    before_lookup_ = std::move(what);
  }

 private:
  bool serve(const core::ServedRequest& request, core::ServedConnection& to) {
    std::function<bool(core::ServedConnection&)> how;
    std::function<void()> before;
    {
      const std::lock_guard lock(mutex_);
      how = how_;
      if (request.target == "/v1/cache/lookup") before = before_lookup_;
    }
    if (how) return how(to);
    if (before) before();
    const auto token = request.headers.find("authorization");
    if (token == request.headers.end() || token->second != std::string("Bearer ") + kToken) {
      return to.write(core::answer_text(401, R"({"error":{"message":"unknown token"}})"));
    }
    return to.write(core::answer_text(200, said(request)));
  }

  std::string said(const core::ServedRequest& request) {
    core::JsonTape tape;
    std::string storage;
    if (!tape.read(request.body)) return "{}";
    const std::string key(tape.root().member("key").text(storage));
    if (request.target == "/v1/cache/lookup") return answer(key);
    const std::lock_guard lock(mutex_);
    if (request.target == "/v1/cache/persist") {
      hits_[key] = hit(tape.root());
      return R"({"kind":"stored","promoted_to_shared":false,"bytes_used_after":1,"bytes_quota":null})";
    }
    const std::size_t before = hits_.size();
    hits_.erase(key);
    std::erase_if(hits_, [&](const auto& entry) {
      return entry.second.find('"' + key + '"') != std::string::npos;
    });
    return R"({"dropped_count":)" + std::to_string(before - hits_.size()) + '}';
  }

  static std::string hit(core::JsonValue persisted) {
    std::string storage;
    const std::string payload(persisted.member("payload").text(storage));
    const std::size_t padding = payload.ends_with("==") ? 2 : payload.ends_with('=') ? 1 : 0;
    core::JsonWriter json;
    json.begin_object().key("kind").text("hit").key("payload").text(payload);
    json.key("tool_kind").json(persisted.member("tool_kind").raw());
    json.key("bytes").number(std::uint64_t{payload.size() / 4 * 3 - padding});
    json.key("from_shared").boolean(false);
    json.key("file_roots").json(persisted.member("file_roots").raw());
    json.key("upstream_keys").json(persisted.member("upstream_keys").raw());
    return json.end_object().take();
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::string> hits_;
  std::function<bool(core::ServedConnection&)> how_;
  std::function<void()> before_lookup_;
  core::HttpsServer server_;
};

}  // namespace satchel::tool_cache
