#include "postgres_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "core/file.hpp"

namespace satchel::core {
namespace {

// Where initdb and postgres are: Debian keeps them apart, a directory for each version.
std::string program_directory() {
  int newest = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
    newest = std::max(newest, std::atoi(entry.path().filename().c_str()));
  }
  return newest > 0 ? "/usr/lib/postgresql/" + std::to_string(newest) + "/bin/" : std::string();
}

int free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* where = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd.get(), where, size) != 0 || ::getsockname(fd.get(), where, &size) != 0) {
    throw std::runtime_error("no port for PostgreSQL");
  }
  return ntohs(address.sin_port);
}

int wait_for_end(pid_t process) {
  int status = -1;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

RealPostgres::User RealPostgres::server_user() {
  if (::geteuid() != 0) return {::geteuid(), ::getegid(), false};
  const passwd* postgres = ::getpwnam("postgres");
  if (postgres == nullptr) throw std::runtime_error("root needs a user postgres to run the server");
  return {postgres->pw_uid, postgres->pw_gid, true};
}

RealPostgres& RealPostgres::shared() {
  static RealPostgres server;
  return server;
}

RealPostgres::RealPostgres() : programs_(program_directory()) {
  give(directory_.path());
  const pid_t initdb = spawn({programs_ + "initdb", "-D", data(), "-U", "postgres", "-A", "trust",
                              "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"},
                             true);
  if (wait_for_end(initdb) != 0) {
    throw std::runtime_error("initdb failed: " + content_of(directory_ / "output"));
  }
  std::ofstream(data() + "/pg_hba.conf") << "host all guarded 127.0.0.1/32 scram-sha-256\n"
                                            "host all all 127.0.0.1/32 trust\n";
  start();
  static_cast<void>(sql("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'correct horse'"));
}

RealPostgres::~RealPostgres() { kill(); }

void RealPostgres::give(const std::string& path) const {
  if (user_.switches && ::chown(path.c_str(), user_.uid, user_.gid) != 0) {
    throw std::runtime_error("cannot give away " + path);
  }
}

// Its output goes into a file.
pid_t RealPostgres::spawn(const std::vector<std::string>& command, bool as_server) const {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));  // execvp does not change it
  }
  arguments.push_back(nullptr);
  const std::string output = directory_ / (as_server ? "output" : "answer");
  const UniqueFd file(
      ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
  // Between fork and exec of a program with threads: system calls alone.
  ::setpgid(0, 0);
  if (as_server && user_.switches &&
      (::setgroups(0, nullptr) != 0 || ::setgid(user_.gid) != 0 || ::setuid(user_.uid) != 0)) {
    ::_exit(126);
  }
  // A test that dies takes the server along.
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (::getppid() != parent) ::_exit(126);
  ::dup2(file.get(), 1);
  ::dup2(file.get(), 2);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

void RealPostgres::start() {
  if (process_ > 0) return;
  // Another process may take a free port before the server does; the tests' clients know the port
  // once it has been started.
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (places_ == 0) port_ = free_port();
    if (try_start()) return;
  }
  throw std::runtime_error("PostgreSQL does not start: " + content_of(directory_ / "output"));
}

bool RealPostgres::try_start() {
  std::vector<std::string> command = {programs_ + "postgres", "-D", data(), "-p",
                                      std::to_string(port_)};
  for (const char* setting :
       {"listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "autovacuum=off",
        "full_page_writes=off", "shared_buffers=16MB", "max_connections=40",
        "superuser_reserved_connections=3", "deadlock_timeout=100ms", "timezone=UTC"}) {
    command.insert(command.end(), {"-c", setting});
  }
  process_ = spawn(command, true);
  bool ended = false;
  const bool up = eventually([&] {
    ended = ::waitpid(process_, nullptr, WNOHANG) == process_;
    return ended || ready();
  });
  if (up && !ended) return true;
  if (!ended) kill();
  process_ = -1;
  return false;
}

// The first line of the file is the process, the eighth how it is.
bool RealPostgres::ready() const {
  std::istringstream file(content_of(data() + "/postmaster.pid"));
  std::string first;
  std::string line;
  std::getline(file, first);
  for (int i = 2; i <= 8; ++i) std::getline(file, line);
  return first == std::to_string(process_) && line.compare(0, 5, "ready") == 0;
}

void RealPostgres::stop() {
  if (process_ <= 0) return;
  ::kill(process_, SIGINT);
  wait_for_end(process_);
  process_ = -1;
}

void RealPostgres::kill() {
  if (process_ <= 0) return;
  const std::string id = std::to_string(process_);
  const std::string children = content_of("/proc/" + id + "/task/" + id + "/children");
  ::kill(process_, SIGKILL);
  std::istringstream list(children);
  for (pid_t child = 0; list >> child;) ::kill(child, SIGKILL);
  wait_for_end(process_);
  process_ = -1;
}

std::string RealPostgres::new_schema() {
  std::string name = "schema_" + std::to_string(++places_);
  static_cast<void>(sql("postgres", "CREATE SCHEMA " + name));
  return name;
}

std::string RealPostgres::new_database() {
  std::string name = "database_" + std::to_string(++places_);
  static_cast<void>(sql("postgres", "CREATE DATABASE " + name));
  return name;
}

std::string RealPostgres::url(const std::string& place, int port, const std::string& user) const {
  const bool schema = place.compare(0, 7, "schema_") == 0;
  return "postgresql://" + user + "@127.0.0.1:" + std::to_string(port != 0 ? port : port_) + "/" +
         (schema ? "postgres" : place) + "?sslmode=disable" +
         (schema ? "&options=-csearch_path%3D" + place : "");
}

std::string RealPostgres::sql(const std::string& place, const std::string& statements) const {
  const pid_t psql =
      spawn({"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url(place), "-c", statements}, false);
  const int status = wait_for_end(psql);
  std::string answer = content_of(directory_ / "answer");
  while (!answer.empty() && answer.back() == '\n') answer.pop_back();
  EXPECT_EQ(status, 0) << statements << "\n" << answer;
  return answer;
}

}  // namespace satchel::core
