// A server and its client, a child, files and timers in one event loop.
const fs = require('fs');
const http = require('http');
const { execFile } = require('child_process');

const server = http.createServer((request, response) => fs.createReadStream('text').pipe(response));
server.listen('node.socket', () => {
    http.get({ socketPath: 'node.socket', path: '/' }, (response) => {
        let size = 0;
        response.on('data', (part) => { size += part.length; });
        response.on('end', () => {
            server.close();
            execFile('wc', ['-l', 'text'], (error, output) => {
                fs.writeFileSync('result', `${size} ${output}`);
                setTimeout(() => process.exit(0), 20);
            });
        });
    });
});
