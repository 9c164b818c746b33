// A real PostgreSQL server on a free port of 127.0.0.1, its files in a temporary directory.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "surroundings.hpp"

namespace satchel::core {

class RealPostgres {
 public:
  // Makes a cluster and starts it. The role postgres is let in without a password, the role
  // "guarded" with the password "correct horse" alone.
  RealPostgres();
  RealPostgres(const RealPostgres&) = delete;
  RealPostgres& operator=(const RealPostgres&) = delete;
  ~RealPostgres();

  // The one that tests share, each with a place of its own. Whoever stops it starts it again.
  static RealPostgres& shared();

  void start();
  void stop();  // as an administrator does: connections are told to go
  void kill();  // every process of it, without a word

  [[nodiscard]] int port() const { return port_; }
  // An empty place for tables, and its name: a schema; or a database, which takes longer.
  std::string new_schema();
  std::string new_database();
  // A connection string; `port`: of a relay in between; `user`: with a password if it needs one.
  [[nodiscard]] std::string url(const std::string& place, int port = 0,
                                const std::string& user = "postgres") const;
  // What psql prints for it, without headers; fails the test where the server refuses.
  [[nodiscard]] std::string sql(const std::string& place, const std::string& statements) const;

  // The directory of the server's files and their owner, for what a test puts beside them.
  [[nodiscard]] const std::string& directory() const { return directory_.path(); }
  void give(const std::string& path) const;

 private:
  struct User {
    uid_t uid;
    gid_t gid;
    bool switches;  // we are root, which the server refuses to be
  };

  static User server_user();
  [[nodiscard]] std::string data() const { return directory_ / "data"; }
  [[nodiscard]] pid_t spawn(const std::vector<std::string>& command, bool as_server) const;
  bool try_start();
  [[nodiscard]] bool ready() const;

  const User user_ = server_user();
  TemporaryDirectory directory_;
  const std::string programs_;
  int port_ = 0;
  pid_t process_ = -1;
  int places_ = 0;
};

}  // namespace satchel::core
