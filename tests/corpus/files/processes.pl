# Children, pipes, sockets, signals, select, directories, locks.
use strict;
use warnings;
use Fcntl qw(:flock);
use IO::Select;
use Socket;

socketpair(my $left, my $right, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
pipe(my $reader, my $writer) or die;
my $child = fork;
if (!$child) {
    close $left;
    syswrite $right, "from the child\n";
    sysread $right, my $answer, 100;
    syswrite $writer, $answer;
    exit 7;
}
close $right;
my $select = IO::Select->new($left);
$select->can_read(5) and sysread $left, my $line, 100;
syswrite $left, "to the child\n";
sysread $reader, my $back, 100;
waitpid $child, 0;
print "code ", $? >> 8, " $line$back";
local $SIG{ALRM} = sub { print "alarm\n" };
select undef, undef, undef, 0.01;
open my $lock, '>>', 'lock' or die;
flock $lock, LOCK_EX or die;
truncate $lock, 100;
opendir my $tree, 'tree' or die;
print join(' ', sort readdir $tree), "\n";
rename 'lock', 'locked';
chmod 0600, 'locked';
utime 1, 2, 'locked';
link 'locked', 'hard';
unlink 'locked', 'hard';
print `wc -l < text`;
socket my $server, PF_INET, SOCK_STREAM, getprotobyname('tcp') or die;
setsockopt $server, SOL_SOCKET, SO_REUSEADDR, pack('l', 1);
bind $server, sockaddr_in(0, INADDR_LOOPBACK) or die;
listen $server, 5;
kill 'ALRM', $$;
