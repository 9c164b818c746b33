// SQLite as anybody else would use it on the same database: its own VFS, its own mapped wal-index.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace satchel::prompt_cache {

class SqliteShell {
 public:
  explicit SqliteShell(const std::string& path, int busy_millis = 10'000) {
    const int rc = sqlite3_open_v2(path.c_str(), &connection_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix");
    if (rc != SQLITE_OK) throw std::runtime_error("cannot open " + path);
    sqlite3_busy_timeout(connection_, busy_millis);
  }
  SqliteShell(const SqliteShell&) = delete;
  SqliteShell& operator=(const SqliteShell&) = delete;
  ~SqliteShell() { sqlite3_close(connection_); }

  int execute(const std::string& sql) {
    return sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  }

  // The first column of the first row; "error: ..." where there is none.
  std::string text(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    std::string answer;
    if (sqlite3_prepare_v2(connection_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
      const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
      answer = data == nullptr ? "" : data;
    } else {
      answer = std::string("error: ") + sqlite3_errmsg(connection_);
    }
    sqlite3_finalize(statement);
    return answer;
  }
  std::int64_t number(const std::string& sql) {
    const std::string answer = text(sql);
    if (answer.empty() || answer.rfind("error", 0) == 0) return -1;
    return std::stoll(answer);
  }

 private:
  sqlite3* connection_ = nullptr;
};

}  // namespace satchel::prompt_cache
